// A session over sarama with its default settings and others: produce, read by assignment, offsets, admin.
// Prints PASS or FAIL lines. Usage: sarama <bootstrap>
package main

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

var topic = fmt.Sprintf("sar-%d", rand.Int63())

func check(name string, f func() error) {
	if err := f(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("PASS %s\n", name)
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return c
}

func produce(n int, c *sarama.Config) (int64, error) {
	p, err := sarama.NewSyncProducer([]string{os.Args[1]}, c)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	messages := make([]*sarama.ProducerMessage, n)
	for i := range messages {
		messages[i] = &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("k", i)),
			Value: sarama.StringEncoder(fmt.Sprint("v", i))}
		if c.Version.IsAtLeast(sarama.V0_11_0_0) {
			messages[i].Headers = []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("x")}}
		}
	}
	if err := p.SendMessages(messages); err != nil {
		return 0, err
	}
	return messages[0].Offset, nil
}

func read(n int, offset int64, c *sarama.Config) error {
	consumer, err := sarama.NewConsumer([]string{os.Args[1]}, c)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, offset)
	if err != nil {
		return err
	}
	defer partition.Close()
	for i := 0; i < n; i++ {
		select {
		case m := <-partition.Messages():
			if string(m.Value) != fmt.Sprint("v", i) {
				return fmt.Errorf("record %d is %q", i, m.Value)
			}
		case <-time.After(15 * time.Second):
			return fmt.Errorf("only %d of %d records", i, n)
		}
	}
	return nil
}

func main() {
	admin, err := sarama.NewClusterAdmin([]string{os.Args[1]}, config())
	if err != nil {
		fmt.Printf("FAIL connect: %s\n", err)
		os.Exit(1)
	}
	defer admin.Close()
	check("create-topic", func() error {
		return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	})
	idempotent := config()
	idempotent.Producer.Idempotent, idempotent.Producer.RequiredAcks, idempotent.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	newest := config()
	newest.Version = sarama.MaxVersion
	cases := map[string]*sarama.Config{"defaults": config(), "idempotent": idempotent, "newest": newest}
	for name, codec := range map[string]sarama.CompressionCodec{"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD} {
		c := config()
		c.Producer.Compression = codec
		cases[name] = c
	}
	for name, c := range cases {
		var offset int64
		check("produce-"+name, func() (err error) { offset, err = produce(300, c); return })
		check("read-"+name, func() error { return read(300, offset, c) })
	}
	check("offsets", func() error {
		client, err := sarama.NewClient([]string{os.Args[1]}, config())
		if err != nil {
			return err
		}
		defer client.Close()
		newest, err := client.GetOffset(topic, 0, sarama.OffsetNewest)
		if err == nil && newest != int64(300*len(cases)) {
			err = fmt.Errorf("newest offset %d", newest)
		}
		return err
	})
	check("admin", func() error {
		if err := admin.CreatePartitions(topic, 3, nil, false); err != nil {
			return err
		}
		value := "1000000"
		if err := admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &value}, false); err != nil {
			return err
		}
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		if err != nil {
			return err
		}
		if len(entries) != 1 || entries[0].Value != value {
			return fmt.Errorf("configs: %v", entries)
		}
		if err := admin.DeleteRecords(topic, map[int32]int64{0: 10}); err != nil {
			return err
		}
		if _, err := admin.DescribeLogDirs([]int32{1}); err != nil {
			return err
		}
		return admin.DeleteTopic(topic)
	})
}
