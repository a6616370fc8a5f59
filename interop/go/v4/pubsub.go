package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"go-micro.dev/v4/broker"
	"go-micro.dev/v4/client"
	raw "go-micro.dev/v4/codec/bytes"
	"go-micro.dev/v4/metadata"
	"go-micro.dev/v4/server"

	"interop/pb"
)

// subscription is a subscriber of the server (init) or of the broker alone ("subscribe").
type subscription struct {
	Topic string `json:"topic"`
	Queue string `json:"queue"`
	// hello: HelloRequest in any codec (default), json: any JSON, frame: bytes
	Kind string `json:"kind"`
	// the subscriber reports the message and then fails
	Fail bool `json:"fail"`
}

// declare adds a subscriber to the server, before its start.
func (p *peer) declare(s subscription) error {
	report := func(ctx context.Context, value any) error {
		md, _ := metadata.FromContext(ctx)
		event := object{"event": "received", "topic": s.Topic, "queue": s.Queue, "metadata": md}
		if err := show(event, value); err != nil {
			return err
		}
		emit(event)
		if s.Fail {
			return errors.New("subscriber failed")
		}
		return nil
	}
	var handler any
	switch s.Kind {
	case "", "hello":
		handler = func(ctx context.Context, m *pb.HelloRequest) error { return report(ctx, m) }
	case "json":
		handler = func(ctx context.Context, m *json.RawMessage) error { return report(ctx, m) }
	case "frame":
		handler = func(ctx context.Context, m *raw.Frame) error { return report(ctx, m) }
	default:
		return fmt.Errorf("no kind of subscriber %q", s.Kind)
	}
	var opts []server.SubscriberOption
	if s.Queue != "" {
		opts = append(opts, server.SubscriberQueue(s.Queue))
	}
	return p.server.Subscribe(p.server.NewSubscriber(s.Topic, handler, opts...))
}

// subscribe is broker.Subscribe: it sees the message of the broker as it is.
func subscribe(p *peer, line []byte) (any, error) {
	var a subscription
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	if err := p.broker.Connect(); err != nil {
		return nil, err
	}
	p.lock.Lock()
	number := p.next()
	p.lock.Unlock()
	var opts []broker.SubscribeOption
	if a.Queue != "" {
		opts = append(opts, broker.Queue(a.Queue))
	}
	sub, err := p.broker.Subscribe(a.Topic, func(e broker.Event) error {
		m := e.Message()
		event := object{"event": "message", "subscription": number, "topic": e.Topic(), "header": m.Header, "hex": hex.EncodeToString(m.Body)}
		if utf8.Valid(m.Body) {
			event["text"] = string(m.Body)
		}
		emit(event)
		if a.Fail {
			return errors.New("subscriber failed")
		}
		return nil
	}, opts...)
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	p.subs[number] = sub
	p.lock.Unlock()
	return object{"subscription": number, "address": p.broker.Address()}, nil
}

func unsubscribe(p *peer, line []byte) (any, error) {
	var a struct {
		Subscription int64 `json:"subscription"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	p.lock.Lock()
	sub := p.subs[a.Subscription]
	delete(p.subs, a.Subscription)
	p.lock.Unlock()
	if sub == nil {
		return nil, fmt.Errorf("no subscription %d", a.Subscription)
	}
	return nil, sub.Unsubscribe()
}

type publishArgs struct {
	Topic       string            `json:"topic"`
	Exchange    string            `json:"exchange"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata"`
	Header      map[string]string `json:"header"`
	payload
}

// publish is client.Publish; the message is a HelloRequest unless said otherwise (as, like, text, hex).
func publish(p *peer, line []byte) (any, error) {
	var a publishArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	value, _, err := a.values("Greeter.Hello")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if a.Metadata != nil {
		ctx = metadata.NewContext(ctx, a.Metadata)
	}
	var message []client.MessageOption
	if a.ContentType != "" {
		message = append(message, client.WithMessageContentType(a.ContentType))
	}
	var opts []client.PublishOption
	if a.Exchange != "" {
		opts = append(opts, client.WithExchange(a.Exchange))
	}
	err = p.client.Publish(ctx, p.client.NewMessage(a.Topic, value, message...), opts...)
	return object{"error": describe(err)}, nil
}

// brokerPublish is broker.Publish: the header and the bytes go out as they are.
func brokerPublish(p *peer, line []byte) (any, error) {
	var a publishArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	frame, err := a.exact()
	if err != nil {
		return nil, err
	}
	if frame == nil {
		frame = &raw.Frame{Data: a.Body}
	}
	if err := p.broker.Connect(); err != nil {
		return nil, err
	}
	err = p.broker.Publish(a.Topic, &broker.Message{Header: a.Header, Body: frame.Data})
	return object{"error": describe(err)}, nil
}
