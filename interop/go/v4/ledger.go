package main

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"go-micro.dev/v4/metadata"
	"go-micro.dev/v4/server"
)

// ledger counts what handlers were called, and reports each call as it begins and ends if the peer traces.
type ledger struct {
	trace   bool
	started time.Time
	lock    sync.Mutex
	counts  map[string]int64
	last    []invocation
}

type invocation struct {
	N           int64             `json:"n"`
	Service     string            `json:"service"`
	Endpoint    string            `json:"endpoint"`
	ContentType string            `json:"contentType"`
	Stream      bool              `json:"stream"`
	AtMs        float64           `json:"atMs"`
	Metadata    map[string]string `json:"metadata"`
}

// How many invocations the ledger keeps for "invocations".
const kept = 1000

func newLedger(trace bool) *ledger {
	return &ledger{trace: trace, started: time.Now(), counts: map[string]int64{}}
}

func (l *ledger) note(event object) {
	if l.trace {
		emit(event)
	}
}

func (l *ledger) wrap(next server.HandlerFunc) server.HandlerFunc {
	return func(ctx context.Context, req server.Request, rsp interface{}) error {
		md, _ := metadata.FromContext(ctx)
		i := invocation{
			Service: req.Service(), Endpoint: req.Endpoint(), ContentType: req.ContentType(),
			Stream: req.Stream(), AtMs: since(l.started), Metadata: maps.Clone(md),
		}
		l.lock.Lock()
		l.counts[i.Endpoint]++
		i.N = l.counts[i.Endpoint]
		if len(l.last) == kept {
			l.last = append(l.last[:0], l.last[1:]...)
		}
		l.last = append(l.last, i)
		l.lock.Unlock()
		l.note(object{"event": "invoked", "call": i})

		began, err, returned := time.Now(), error(nil), false
		defer func() {
			event := object{"event": "finished", "endpoint": i.Endpoint, "n": i.N, "ms": since(began), "panicked": !returned}
			if err != nil {
				event["error"] = describe(err)
			}
			l.note(event)
		}()
		err = next(ctx, req, rsp)
		returned = true
		return err
	}
}

func counts(p *peer, _ []byte) (any, error) {
	p.ledger.lock.Lock()
	defer p.ledger.lock.Unlock()
	all := map[string]int64{}
	for endpoint, n := range p.ledger.counts {
		all[endpoint] = n
	}
	return object{"counts": all}, nil
}

func invocations(p *peer, line []byte) (any, error) {
	var a struct {
		Endpoint string `json:"endpoint"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	p.ledger.lock.Lock()
	defer p.ledger.lock.Unlock()
	found := []invocation{}
	for _, i := range p.ledger.last {
		if a.Endpoint == "" || i.Endpoint == a.Endpoint {
			found = append(found, i)
		}
	}
	return object{"calls": found}, nil
}
