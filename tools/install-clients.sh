#!/bin/bash
# install-clients.sh PART...: what the conformance lanes need; run by test/conformance/run.
#   apt     kcat, librdkafka's headers, Debian's two Python clients
#   python  a venv with today's confluent-kafka, kafka-python and aiokafka
#   node    kafkajs, @platformatic/kafka, node-rdkafka (built here against node's own headers)
#   go      the modules of franz-go and sarama, and the programs built from them
#   kgo     franz-go's own tests
#   sarama  sarama's own tests, toxiproxy
#   kafka-go its own tests
#   java    the jars of Apache Kafka 4.3.1 and 4.4.0
#   streams the jars of Kafka Streams with its smoke test
# Everything that is not a Debian package goes to ~/.cache/taccola (or TACCOLA_CACHE).
# A part that is there already costs nothing; a stamp holds the checksum of what was asked for.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
tests=$here/../test/conformance
cache=${TACCOLA_CACHE:-$HOME/.cache/taccola}
mkdir -p "$cache"

need() { command -v "$1" >/dev/null || { echo "no $1 on this machine"; exit 1; }; }
stamped() { [[ -f $cache/stamp-$1 && $(cat "$cache/stamp-$1") == "$2" ]]; }
stamp() { echo "$2" >"$cache/stamp-$1"; }
sum() { cat "$@" | sha256sum | cut -c1-16; }

part_apt() {
    local want=(kcat librdkafka-dev python3-kafka python3-confluent-kafka gcc) missing=() p
    for p in "${want[@]}"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok' || missing+=("$p")
    done
    ((${#missing[@]})) || return 0
    [[ $(id -u) == 0 ]] || { echo "not root; missing: ${missing[*]}"; exit 1; }
    apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" ||
        { apt-get -q update && apt-get -q -o DPkg::Lock::Timeout=600 install -y \
            --no-install-recommends "${missing[@]}"; }
}

part_python() {
    local python=/usr/bin/python3 tag
    [[ -x $python ]] || python=python3
    need "$python"
    tag=$(sum "$tests/python/requirements.txt")
    stamped python "$tag" && return 0
    "$python" -m venv "$cache/venv"
    "$cache/venv/bin/pip" install -q -r "$tests/python/requirements.txt"
    stamp python "$tag"
}

part_node() {
    need node; need npm
    local tag gyp
    tag=$(sum "$tests/node/package.json")
    stamped node "$tag" && return 0
    mkdir -p "$cache/node"
    cp "$tests/node/package.json" "$cache/node/"
    (cd "$cache/node" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error)
    # node-rdkafka is C++: without node's headers it is left out, and its checks say so.
    if [[ -f /usr/include/node/node.h && ! -f $cache/node/node_modules/node-rdkafka/build/Release/node-librdkafka.node ]]; then
        gyp=$(npm root -g 2>/dev/null)/npm/node_modules/node-gyp/bin/node-gyp.js
        if [[ -f $gyp ]]; then
            (cd "$cache/node/node_modules/node-rdkafka" &&
                nice node "$gyp" configure --nodedir=/usr && cd build &&
                nice make BUILDTYPE=Release) >"$cache/node-rdkafka.log" 2>&1 ||
                echo "node-rdkafka does not build; see node-rdkafka.log in the cache"
        fi
    fi
    stamp node "$tag"
}

part_go() {
    need go
    local tag
    tag=$(sum "$tests"/go/*/*.go "$tests"/go/go.mod "$tests"/go/go.sum)
    stamped go "$tag" && return 0
    (cd "$tests/go" && for p in franz sarama; do go build -o "$cache/go-$p" "./$p"; done)
    stamp go "$tag"
}

# franz-go's own tests, as one program.
part_kgo() {
    need go
    local version=v1.22.2 source
    stamped kgo $version && return 0
    source=$(go mod download -json "github.com/twmb/franz-go@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    rm -rf "$cache/kgo"
    cp -r "$source" "$cache/kgo"
    chmod -R u+w "$cache/kgo"
    (cd "$cache/kgo/pkg/kgo" && nice go test -c -o "$cache/kgo.test" .)
    rm -rf "$cache/kgo"
    stamp kgo $version
}

# sarama's functional tests as one program, in a folder with what they read, and the proxy that they use.
part_sarama() {
    need go
    local version=v1.61.1 proxy=v2.5.0 source
    stamped sarama "$version $proxy" && return 0
    source=$(go mod download -json "github.com/IBM/sarama@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    rm -rf "$cache/sarama-source" "$cache/sarama"
    cp -r "$source" "$cache/sarama-source"
    chmod -R u+w "$cache/sarama-source"
    # One broker instead of five.
    sed -i 's/ReplicationFactor: 3,/ReplicationFactor: 1,/' "$cache/sarama-source/functional_test.go"
    (cd "$cache/sarama-source" && nice go test -c -tags functional -o "$cache/sarama.test" .)
    mkdir -p "$cache/sarama"
    rm -rf "$cache/sarama-source"
    GOBIN=$cache go install "github.com/Shopify/toxiproxy/v2/cmd/server@$proxy"
    mv "$cache/server" "$cache/toxiproxy"
    stamp sarama "$version $proxy"
}

# kafka-go's own tests as one program, in a folder with what they read. They have their broker's port in them; 9092 is anybody's.
part_kafka-go() {
    need go
    local version=v0.4.51 port=29096 source
    stamped kafka-go "$version $port" && return 0
    source=$(go mod download -json "github.com/segmentio/kafka-go@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    rm -rf "$cache/kafka-go"
    cp -r "$source" "$cache/kafka-go"
    chmod -R u+w "$cache/kafka-go"
    (
        cd "$cache/kafka-go"
        sed -i "/203.0.113/!s/\b9092\b/$port/g; s/TCP(\"localhost\")/TCP(\"localhost:$port\")/" \
            $(ls ./*_test.go | grep -v -e address_test -e example_)
        nice go test -mod=mod -c -o "$cache/kafka-go.test" .
        find . -type f ! -path './fixtures/*' -delete
    )
    stamp kafka-go "$version $port"
}

part_streams() {
    need java; need mvn
    local tag
    tag=$(sum "$tests/streams/pom.xml")
    stamped streams "$tag" && return 0
    mvn -q -B -f "$tests/streams/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$cache/libs-streams"
    stamp streams "$tag"
}

part_java() {
    need java; need mvn
    local v tag
    for v in 4.3.1 4.4.0; do
        tag=$(sum "$tests/java/pom-$v.xml")
        stamped "java-$v" "$tag" && continue
        mvn -q -B -f "$tests/java/pom-$v.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$cache/libs-$v"
        stamp "java-$v" "$tag"
    done
}

(($#)) || set -- apt python node go java
for part in "$@"; do
    case $part in
    apt | python | node | go | kgo | sarama | kafka-go | java | streams) "part_$part" ;;
    *) echo "no part $part; there are: apt python node go kgo sarama kafka-go java streams" && exit 2 ;;
    esac
done
