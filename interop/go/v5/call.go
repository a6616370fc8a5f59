package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"go-micro.dev/v5/client"
	"go-micro.dev/v5/metadata"
)

// callLimits are the options of a client and of a call, by their Go names. 4.11 has no option function for
// ConnectionTimeout; the field is there.
type callLimits struct {
	RequestTimeoutMs    *int64 `json:"requestTimeoutMs"`
	ConnectionTimeoutMs *int64 `json:"connectionTimeoutMs"`
	StreamTimeoutMs     *int64 `json:"streamTimeoutMs"`
	DialTimeoutMs       *int64 `json:"dialTimeoutMs"`
	Retries             *int   `json:"retries"`
	ConnClose           bool   `json:"connClose"`
}

func (l callLimits) apply(o *client.CallOptions) {
	set := func(to *time.Duration, n *int64) {
		if n != nil {
			*to = ms(*n)
		}
	}
	set(&o.RequestTimeout, l.RequestTimeoutMs)
	set(&o.ConnectionTimeout, l.ConnectionTimeoutMs)
	set(&o.StreamTimeout, l.StreamTimeoutMs)
	set(&o.DialTimeout, l.DialTimeoutMs)
	if l.Retries != nil {
		o.Retries = *l.Retries
	}
	if l.ConnClose {
		o.ConnClose = true
	}
}

type callArgs struct {
	Service     string            `json:"service"`
	Endpoint    string            `json:"endpoint"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata"`
	Address     []string          `json:"address"`
	DeadlineMs  int64             `json:"deadlineMs"` // of the caller's context
	payload
	callLimits
}

func (a callArgs) context() (context.Context, context.CancelFunc) {
	ctx := context.Background()
	if a.Metadata != nil {
		ctx = metadata.NewContext(ctx, a.Metadata)
	}
	if a.DeadlineMs > 0 {
		return context.WithTimeout(ctx, ms(a.DeadlineMs))
	}
	return context.WithCancel(ctx)
}

func (a callArgs) options() []client.CallOption {
	opts := []client.CallOption{a.callLimits.apply}
	if len(a.Address) > 0 {
		opts = append(opts, client.WithAddress(a.Address...))
	}
	return opts
}

func (a callArgs) requestOptions() []client.RequestOption {
	if a.ContentType == "" {
		return nil
	}
	return []client.RequestOption{client.WithContentType(a.ContentType)}
}

func (a callArgs) do(p *peer) (any, error, error) {
	request, response, err := a.values(a.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := a.context()
	defer cancel()
	req := p.client.NewRequest(a.Service, a.Endpoint, request, a.requestOptions()...)
	return response, p.client.Call(ctx, req, response, a.options()...), nil
}

func call(p *peer, line []byte) (any, error) {
	var a callArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	began := time.Now()
	response, failed, err := a.do(p)
	if err != nil {
		return nil, err
	}
	result := object{"ms": since(began)}
	if failed != nil {
		result["error"] = describe(failed)
		return result, nil
	}
	return result, show(result, response)
}

type manyArgs struct {
	N           int             `json:"n"`
	Concurrency int             `json:"concurrency"`
	Expect      json.RawMessage `json:"expect"`
	callArgs
}

// callMany makes n calls, concurrency at a time. "{i}" in body and expect stands for the number of the call.
func callMany(p *peer, line []byte) (any, error) {
	var a manyArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	var (
		lock           sync.Mutex
		ok, mismatched int
		slowest        float64
		faults         = map[string]int{}
		mismatch       any
		work           = make(chan int)
		done           sync.WaitGroup
		broken         error
	)
	one := func(i int) {
		c := a.callArgs
		number := strconv.Itoa(i)
		c.Body = json.RawMessage(strings.ReplaceAll(string(a.Body), "{i}", number))
		began := time.Now()
		response, failed, err := c.do(p)
		took := since(began)
		result := object{}
		if err == nil && failed == nil {
			err = show(result, response)
		}
		lock.Lock()
		defer lock.Unlock()
		slowest = max(slowest, took)
		switch {
		case err != nil:
			broken = err
		case failed != nil:
			faults[failed.Error()]++
		case a.Expect != nil && !matches(result, strings.ReplaceAll(string(a.Expect), "{i}", number)):
			mismatched++
			mismatch = object{"i": i, "result": result}
		default:
			ok++
		}
	}
	began := time.Now()
	for range max(a.Concurrency, 1) {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range work {
				one(i)
			}
		}()
	}
	for i := range a.N {
		work <- i
	}
	close(work)
	done.Wait()
	if broken != nil {
		return nil, broken
	}
	failed := 0
	for _, n := range faults {
		failed += n
	}
	result := object{"ok": ok, "failed": failed, "mismatched": mismatched, "errors": faults, "ms": since(began), "slowestMs": slowest}
	if mismatch != nil {
		result["mismatch"] = mismatch
	}
	return result, nil
}

// matches compares a result with the body expected; bytes are compared as a JSON string of hex.
func matches(result object, expect string) bool {
	var got []byte
	if text, isHex := result["hex"].(string); isHex {
		if data, err := hex.DecodeString(text); err == nil && string(data) == strings.Trim(expect, "\"") {
			return true
		}
		got, _ = json.Marshal(text)
	} else {
		got, _ = json.Marshal(result["body"])
	}
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(expect), &b) != nil {
		return false
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}
