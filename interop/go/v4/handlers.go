package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go-micro.dev/v4/client"
	raw "go-micro.dev/v4/codec/bytes"
	"go-micro.dev/v4/server"

	"interop/pb"
)

// Plain is a handler on Go structs, as most services without protobuf are.
type Plain struct{}

type PlainRequest struct {
	Name     string     `json:"name"`
	When     *time.Time `json:"when,omitempty"`
	Bytes    []byte     `json:"bytes,omitempty"`
	N        int64      `json:"n,omitempty"`
	HTML     string     `json:"html,omitempty"`
	Untagged string
}

type PlainResponse struct {
	Msg      string            `json:"msg"`
	When     time.Time         `json:"when"`
	Bytes    []byte            `json:"bytes"`
	N        int64             `json:"n"`
	HTML     string            `json:"html"`
	Nil      *string           `json:"nil"`
	Labels   map[string]string `json:"labels,omitempty"`
	Untagged string
}

// Hello answers with fixed values of the kinds that JSON writers disagree on.
func (*Plain) Hello(_ context.Context, in *PlainRequest, out *PlainResponse) error {
	*out = PlainResponse{
		Msg: "Hello " + in.Name, When: time.Unix(1700000000, 0).UTC(), Bytes: []byte("raw"),
		N: 1 << 60, HTML: "<a>&\u2028", Untagged: in.Untagged,
	}
	return nil
}

// Echo gives back what it was sent.
func (*Plain) Echo(_ context.Context, in *PlainRequest, out *PlainResponse) error {
	*out = PlainResponse{Msg: in.Name, Bytes: in.Bytes, N: in.N, HTML: in.HTML, Untagged: in.Untagged}
	if in.When != nil {
		out.When = *in.When
	}
	return nil
}

// Raw is a handler on bytes, for application/octet-stream.
type Raw struct{}

func (*Raw) Echo(_ context.Context, in *raw.Frame, out *raw.Frame) error {
	out.Data = in.Data
	return nil
}

func (*Raw) Fail(context.Context, *raw.Frame, *raw.Frame) error { return errors.New("raw failed") }

// Relay calls another service with the context it was called with, so that all inbound metadata leaks into that call.
type Relay struct{ peer *peer }

type relayTarget struct {
	Service     string   `json:"service"`
	Endpoint    string   `json:"endpoint"`
	ContentType string   `json:"contentType"`
	Address     []string `json:"address"`
}

// relayTo sets where Relay calls; without a service it calls its own.
func relayTo(p *peer, line []byte) (any, error) {
	target := relayTarget{Endpoint: "Greeter.Hello", ContentType: "application/json"}
	if err := json.Unmarshal(line, &target); err != nil {
		return nil, err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.relay = target
	return nil, nil
}

func (r *Relay) Hello(ctx context.Context, in *pb.HelloRequest, out *pb.HelloResponse) error {
	r.peer.lock.Lock()
	to := r.peer.relay
	r.peer.lock.Unlock()
	if to.Service == "" {
		to.Service = r.peer.settings.Name
	}
	var opts []client.CallOption
	if len(to.Address) > 0 {
		opts = append(opts, client.WithAddress(to.Address...))
	}
	req := r.peer.client.NewRequest(to.Service, to.Endpoint, in, client.WithContentType(to.ContentType))
	return r.peer.client.Call(ctx, req, out, opts...)
}

// Stream makes the call of Hello for each message of a stream: the inbound Micro-Stream leaks too.
func (r *Relay) Stream(ctx context.Context, stream server.Stream) error {
	for {
		in, out := &pb.HelloRequest{}, &pb.HelloResponse{}
		if err := stream.Recv(in); err != nil {
			return nil
		}
		if err := r.Hello(ctx, in, out); err != nil {
			return err
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}
