"""Every row of the checklist of corner cases, at the level of the protocol, each a named check.

Where Apache Kafka's behaviour is the contract, the check is validated against it (--broker apache).
Where ours differs on purpose the check asks kit.ours and says what each answers.
"""
import admin
import directories
import fetch
import framing
import groups
import hostile_groups
import metadata
import offsets
import produce
import transactions
from kit import Kit

PROPS = {
    'num.partitions': 3, 'auto.create.topics.enable': 'true',
    'max.incremental.fetch.session.cache.slots': 8,
    'log.retention.check.interval.ms': 1000,
}


def run(lane):
    for part in (framing, metadata, produce, fetch, offsets, directories, groups, hostile_groups,
                 transactions, admin):
        name = part.__name__
        b = lane.broker(dict(PROPS, **getattr(part, 'PROPS', {})), name=name)
        part.run(Kit(lane, b), lane.attempt)
        if not b.alive():
            lane.check(name + '/broker-alive', False, b.log_tail())
        lane.stop(b)
