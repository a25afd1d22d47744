// One copier on franz-go (TV2), as a process that may be killed at any time: copier BOOTSTRAP NAME COUNT PACE-MS HISTORY.
// Copies the COUNT records of in-NAME to `out`, exactly once. History: tools/check_history.py.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batch      = 10
	partitions = 3
)

var (
	name string
	mu   sync.Mutex
	file *os.File
)

type fields map[string]any

func tell(op string, f fields) {
	mu.Lock()
	defer mu.Unlock()
	f["t"], f["client"], f["op"] = time.Now().UnixNano(), name, op
	line, _ := json.Marshal(f)
	file.Write(append(line, '\n'))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3) // the next life finds out
	}
}

func copyRecords(ctx context.Context, s *kgo.GroupTransactSession, records []*kgo.Record, txn string) bool {
	must(s.Begin())
	for _, r := range records {
		value := txn + "/" + string(r.Value)
		to := int32(r.Offset % partitions)
		tell("send", fields{"txn": txn, "topic": "out", "partition": to, "value": value, "source": string(r.Value)})
		s.Produce(ctx, &kgo.Record{Topic: "out", Partition: to, Value: []byte(value)}, func(out *kgo.Record, err error) {
			if err == nil {
				tell("ack", fields{"value": value, "offset": out.Offset})
			}
		})
	}
	following := records[len(records)-1].Offset + 1
	tell("offsets", fields{"txn": txn, "group": "g-" + name, "topic": "in-" + name, "partition": 0, "offset": following})
	op, try := "commit", kgo.TryCommit
	if rand.Intn(10) == 0 {
		op, try = "abort", kgo.TryAbort
	}
	tell(op, fields{"txn": txn, "result": "asked"})
	committed, err := s.End(ctx, try)
	if err != nil {
		tell(op, fields{"txn": txn, "result": "unknown"})
		must(err)
	}
	if committed {
		tell("commit", fields{"txn": txn, "result": "ok"})
	} else {
		tell("abort", fields{"txn": txn, "result": "ok"})
	}
	return committed
}

func main() {
	name = os.Args[2]
	count, _ := strconv.ParseInt(os.Args[3], 10, 64)
	pace, _ := strconv.ParseInt(os.Args[4], 10, 64)
	var err error
	file, err = os.Create(os.Args[5])
	must(err)
	ctx := context.Background()
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(os.Args[1]),
		kgo.TransactionalID("txn-"+name),
		kgo.TransactionTimeout(10*time.Second),
		kgo.ConsumerGroup("g-"+name),
		kgo.ConsumeTopics("in-"+name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(3*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	must(err)
	// What a transaction takes is one poll: its offsets are those of all that was polled.
	for number := 1; ; number++ {
		fetches := s.PollRecords(ctx, batch)
		records := fetches.Records()
		if len(records) == 0 {
			continue
		}
		txn := fmt.Sprintf("%s-%d-%d", name, os.Getpid(), number)
		if copyRecords(ctx, s, records, txn) && records[len(records)-1].Offset+1 >= count {
			os.Exit(0)
		}
		time.Sleep(time.Duration(rand.Int63n(2*pace+1)) * time.Millisecond)
	}
}
