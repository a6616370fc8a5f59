package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go-micro.dev/v4/client"
	debugpb "go-micro.dev/v4/debug/proto"

	"interop/pb"
)

// duplex is what the generated clients give for each kind of stream.
type duplex interface {
	SendMsg(interface{}) error
	RecvMsg(interface{}) error
	CloseSend() error
	Close() error
}

// generic gives a plain client.Stream the same methods.
type generic struct{ client.Stream }

func (g generic) SendMsg(v interface{}) error { return g.Send(v) }
func (g generic) RecvMsg(v interface{}) error { return g.Recv(v) }

type received struct {
	value any
	err   error
}

type openStream struct {
	args    callArgs
	stream  duplex
	plain   client.Stream // nil with generated code, which hides Error()
	cancel  context.CancelFunc
	sending sync.Mutex
	reading sync.Mutex
	pending chan received // a receive that is under way
}

type streamArgs struct {
	callArgs
	Stream    int64             `json:"stream"`
	Generated bool              `json:"generated"`
	Bodies    []json.RawMessage `json:"bodies"`
	Max       int               `json:"max"`
	TimeoutMs int64             `json:"timeoutMs"`
}

// streamOpen opens by generated code (the endpoint chooses the function; Greeter.Stream and Debug.Log send the body),
// or generic: as generated code does, an empty request first, and then the body if there is one.
func streamOpen(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	ctx, cancel := a.context()
	s := &openStream{args: a.callArgs, cancel: cancel}
	var failed error
	if a.Generated {
		if a.ContentType != "" && a.ContentType != p.client.Options().ContentType {
			cancel()
			return nil, errors.New("generated code uses the content type of its client")
		}
		var err error
		s.stream, failed, err = a.generated(ctx, p)
		if err != nil {
			cancel()
			return nil, err
		}
	} else {
		request, _, err := a.values(a.Endpoint)
		if err != nil {
			cancel()
			return nil, err
		}
		opening := request
		if types, known := shapes[a.Endpoint]; known && a.As == "" && a.Text == nil && a.Hex == nil {
			opening = types.request()
		}
		req := p.client.NewRequest(a.Service, a.Endpoint, opening, append(a.requestOptions(), client.StreamingRequest())...)
		s.plain, failed = p.client.Stream(ctx, req, a.options()...)
		if failed == nil {
			s.stream = generic{s.plain}
			if len(a.Body) > 0 {
				failed = s.plain.Send(request)
			}
		}
	}
	if failed != nil {
		cancel()
		return object{"error": describe(failed)}, nil
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	number := p.next()
	p.streams[number] = s
	return object{"stream": number}, nil
}

func (a streamArgs) generated(ctx context.Context, p *peer) (stream duplex, failed, err error) {
	greeter := pb.NewGreeterService(a.Service, p.client)
	debug := debugpb.NewDebugService(a.Service, p.client)
	switch a.Endpoint {
	case "Greeter.Stream":
		in := &pb.StreamRequest{}
		if err := fill(in, a.Body); err != nil {
			return nil, nil, err
		}
		stream, failed = greeter.Stream(ctx, in, a.options()...)
	case "Greeter.Chat":
		stream, failed = greeter.Chat(ctx, a.options()...)
	case "Greeter.Collect":
		stream, failed = greeter.Collect(ctx, a.options()...)
	case "Debug.Log":
		in := &debugpb.LogRequest{}
		if err := fill(in, a.Body); err != nil {
			return nil, nil, err
		}
		stream, failed = debug.Log(ctx, in, a.options()...)
	case "Debug.MessageBus":
		stream, failed = debug.MessageBus(ctx, a.options()...)
	default:
		return nil, nil, fmt.Errorf("no generated code for %s", a.Endpoint)
	}
	return stream, failed, nil
}

func (p *peer) stream(number int64) (*openStream, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if s := p.streams[number]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no stream %d", number)
}

// streamSend sends body, text or hex, or each of bodies in turn without a pause.
func streamSend(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	s, err := p.stream(a.Stream)
	if err != nil {
		return nil, err
	}
	bodies := a.Bodies
	if bodies == nil {
		bodies = []json.RawMessage{a.Body}
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	for sent, body := range bodies {
		one := a.payload
		one.Body = body
		if one.As == "" {
			one.As = s.args.As
		}
		value, _, err := one.values(s.args.Endpoint)
		if err != nil {
			return nil, err
		}
		if err := s.stream.SendMsg(value); err != nil {
			return object{"sent": sent, "error": describe(err)}, nil
		}
	}
	return object{"sent": len(bodies)}, nil
}

// streamRecv receives up to max messages (default 1, -1: until the end). timeoutMs bounds the wait for each; a receive
// that is cut so goes on and the next call gets its message.
func streamRecv(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	s, err := p.stream(a.Stream)
	if err != nil {
		return nil, err
	}
	if a.Max == 0 {
		a.Max = 1
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	messages := []object{}
	result := object{"end": false, "timedOut": false}
	for a.Max < 0 || len(messages) < a.Max {
		got, intime := s.receive(a)
		if !intime {
			result["timedOut"] = true
			break
		}
		if got.err != nil {
			if errors.Is(got.err, io.EOF) {
				result["end"] = true
			} else {
				result["error"] = describe(got.err)
			}
			break
		}
		message := object{}
		if err := show(message, got.value); err != nil {
			return nil, err
		}
		messages = append(messages, message)
	}
	result["messages"] = messages
	return result, nil
}

func (s *openStream) receive(a streamArgs) (received, bool) {
	if s.pending == nil {
		ch := make(chan received, 1)
		s.pending = ch
		p := a.payload
		if p.As == "" {
			p = payload{As: s.args.As, Text: s.args.Text, Hex: s.args.Hex, Like: s.args.Like}
		}
		go func() {
			_, value, err := p.values(s.args.Endpoint)
			if err == nil {
				err = s.stream.RecvMsg(value)
			}
			ch <- received{value, err}
		}()
	}
	var late <-chan time.Time
	if a.TimeoutMs > 0 {
		timer := time.NewTimer(ms(a.TimeoutMs))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case got := <-s.pending:
		s.pending = nil
		return got, true
	case <-late:
		return received{}, false
	}
}

func streamError(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	s, err := p.stream(a.Stream)
	if err != nil {
		return nil, err
	}
	if s.plain == nil {
		return nil, errors.New("generated code does not show Error()")
	}
	return object{"error": describe(s.plain.Error())}, nil
}

func streamCloseSend(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	s, err := p.stream(a.Stream)
	if err != nil {
		return nil, err
	}
	return object{"error": describe(s.stream.CloseSend())}, nil
}

func streamClose(p *peer, line []byte) (any, error) {
	var a streamArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	s, err := p.stream(a.Stream)
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	delete(p.streams, a.Stream)
	p.lock.Unlock()
	err = s.stream.Close()
	s.cancel()
	return object{"error": describe(err)}, nil
}
