// A session over franz-go with its default settings (idempotent, snappy): produce, read by assignment, offsets, admin.
// Prints PASS or FAIL lines. Usage: franz <bootstrap>
package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var topic = fmt.Sprintf("fgo-%d", rand.Int63())

func check(name string, f func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("PASS %s\n", name)
}

func client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(os.Args[1])}, opts...)...)
	if err != nil {
		panic(err)
	}
	return c
}

func produce(ctx context.Context, n int, partition int32, opts ...kgo.Opt) (int64, error) {
	c := client(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer c.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Key: []byte(fmt.Sprint("k", i)),
			Value: []byte(fmt.Sprint("v", i)), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
	}
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, err
	}
	for i, r := range records {
		if r.Offset != records[0].Offset+int64(i) {
			return 0, fmt.Errorf("record %d got offset %d, the first %d", i, r.Offset, records[0].Offset)
		}
	}
	return records[0].Offset, nil
}

func read(ctx context.Context, n int, partition int32, offset int64, opts ...kgo.Opt) error {
	c := client(append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}}))...)
	defer c.Close()
	for i := 0; i < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("after %d: %w", i, err)
		}
		for _, r := range fetches.Records() {
			if i < n && string(r.Value) != fmt.Sprint("v", i) {
				return fmt.Errorf("record %d is %q", i, r.Value)
			}
			i++
		}
	}
	return nil
}

func main() {
	adm := kadm.NewClient(client())
	defer adm.Close()
	check("create-topic", func(ctx context.Context) error {
		r, err := adm.CreateTopic(ctx, 3, 1, nil, topic)
		if err == nil {
			err = r.Err
		}
		return err
	})
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	cases := map[string][]kgo.Opt{"defaults": nil, "not-idempotent": {kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())}}
	for name, codec := range codecs {
		cases[name] = []kgo.Opt{kgo.ProducerBatchCompression(codec)}
	}
	for name, opts := range cases {
		var offset int64
		check("produce-"+name, func(ctx context.Context) (err error) { offset, err = produce(ctx, 1000, 0, opts...); return })
		check("read-"+name, func(ctx context.Context) error { return read(ctx, 1000, 0, offset) })
	}
	check("read-committed", func(ctx context.Context) error {
		return read(ctx, 1000, 0, 0, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	})
	check("offsets", func(ctx context.Context) error {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		if at := ends[topic][0].Offset; at != 6000 {
			return fmt.Errorf("end offset %d", at)
		}
		times, err := adm.ListOffsetsAfterMilli(ctx, 1, topic)
		if err == nil && times[topic][0].Offset != 0 {
			err = fmt.Errorf("offset by time %d", times[topic][0].Offset)
		}
		return err
	})
	check("admin", func(ctx context.Context) error {
		if r, err := adm.UpdatePartitions(ctx, 5, topic); err != nil || r.Error() != nil {
			return fmt.Errorf("partitions: %v %v", err, r.Error())
		}
		value := "1000000"
		if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic); err != nil {
			return err
		}
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" && c.MaybeValue() != value {
				return fmt.Errorf("retention.ms is %s", c.MaybeValue())
			}
		}
		if _, err := adm.BrokerMetadata(ctx); err != nil {
			return err
		}
		_, err = adm.DeleteTopic(ctx, topic)
		return err
	})
}
