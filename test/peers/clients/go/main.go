// franz-go, asked as peer-client.ts says.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A header's key and value.
type header [2]*string

type record struct {
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       *[]byte  `json:"key"`
	Value     *[]byte  `json:"value"`
	Headers   []header `json:"headers"`
}

type question struct {
	Do        string   `json:"do"`
	Bootstrap string   `json:"bootstrap"`
	Topic     string   `json:"topic"`
	Codec     string   `json:"codec"`
	Level     *int     `json:"level"`
	Count     int      `json:"count"`
	Records   []record `json:"records"`
}

type answer struct {
	Error   string   `json:"error,omitempty"`
	Written int      `json:"written,omitempty"`
	Records []record `json:"records"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err = json.Unmarshal(line, &asked); err != nil {
			out.Encode(answer{Error: err.Error()})
			continue
		}
		given, err := reply(&asked)
		if err != nil {
			given = answer{Error: err.Error()}
		}
		out.Encode(given)
	}
}

func reply(asked *question) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if asked.Do == "write" {
		return write(ctx, asked)
	}
	return read(ctx, asked)
}

func codecOf(asked *question) (kgo.CompressionCodec, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	codec, known := codecs[asked.Codec]
	if !known {
		return codec, fmt.Errorf("no codec %s", asked.Codec)
	}
	if asked.Level != nil {
		codec = codec.WithLevel(*asked.Level)
	}
	return codec, nil
}

func write(ctx context.Context, asked *question) (answer, error) {
	codec, err := codecOf(asked)
	if err != nil {
		return answer{}, err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap),
		kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(100*time.Millisecond),
	)
	if err != nil {
		return answer{}, err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(asked.Records))
	for i, each := range asked.Records {
		records[i] = &kgo.Record{Topic: asked.Topic, Timestamp: time.UnixMilli(each.Timestamp), Key: plain(each.Key), Value: plain(each.Value)}
		for _, pair := range each.Headers {
			value, err := fromText(pair[1])
			if err != nil {
				return answer{}, err
			}
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: *pair[0], Value: value})
		}
	}
	return answer{Written: len(records)}, client.ProduceSync(ctx, records...).FirstErr()
}

func read(ctx context.Context, asked *question) (answer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap),
		kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{asked.Topic: {0: kgo.NewOffset().At(0)}}),
	)
	if err != nil {
		return answer{}, err
	}
	defer client.Close()
	found := []record{}
	for len(found) < asked.Count {
		fetches := client.PollFetches(ctx)
		for _, failure := range fetches.Errors() {
			return answer{}, failure.Err
		}
		fetches.EachRecord(func(each *kgo.Record) {
			one := record{Offset: each.Offset, Timestamp: each.Timestamp.UnixMilli(), Key: given(each.Key), Value: given(each.Value), Headers: []header{}}
			for _, pair := range each.Headers {
				key := pair.Key
				one.Headers = append(one.Headers, header{&key, toText(pair.Value)})
			}
			found = append(found, one)
		})
	}
	return answer{Records: found}, nil
}

func plain(bytes *[]byte) []byte {
	if bytes == nil {
		return nil
	}
	return *bytes
}

func given(bytes []byte) *[]byte {
	if bytes == nil {
		return nil
	}
	return &bytes
}

func fromText(text *string) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	var bytes []byte
	err := json.Unmarshal([]byte(`"`+*text+`"`), &bytes)
	return bytes, err
}

func toText(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	text, _ := json.Marshal(bytes)
	bare := string(text[1 : len(text)-1])
	return &bare
}
