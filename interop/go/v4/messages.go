package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	raw "go-micro.dev/v4/codec/bytes"
	debugpb "go-micro.dev/v4/debug/proto"
	merrors "go-micro.dev/v4/errors"

	"interop/pb"
)

type factory func() any

func of[T any]() factory { return func() any { return new(T) } }

type shape struct{ request, response factory }

// The Go types of each endpoint, as a program with generated code would use them.
var shapes = map[string]shape{
	"Greeter.Hello":    {of[pb.HelloRequest](), of[pb.HelloResponse]()},
	"Greeter.Echo":     {of[pb.EchoRequest](), of[pb.EchoResponse]()},
	"Greeter.Fail":     {of[pb.FailRequest](), of[pb.Empty]()},
	"Greeter.Slow":     {of[pb.SlowRequest](), of[pb.SlowResponse]()},
	"Greeter.Big":      {of[pb.BigMessage](), of[pb.BigMessage]()},
	"Greeter.Kinds":    {of[pb.AllKinds](), of[pb.AllKinds]()},
	"Greeter.Nothing":  {of[pb.Empty](), of[pb.Empty]()},
	"Greeter.Stream":   {of[pb.StreamRequest](), of[pb.StreamResponse]()},
	"Greeter.Chat":     {of[pb.ChatMessage](), of[pb.ChatMessage]()},
	"Greeter.Collect":  {of[pb.ChatMessage](), of[pb.CollectResponse]()},
	"Relay.Hello":      {of[pb.HelloRequest](), of[pb.HelloResponse]()},
	"Relay.Stream":     {of[pb.HelloRequest](), of[pb.HelloResponse]()},
	"Plain.Hello":      {of[PlainRequest](), of[PlainResponse]()},
	"Plain.Echo":       {of[PlainRequest](), of[PlainResponse]()},
	"Raw.Echo":         {of[raw.Frame](), of[raw.Frame]()},
	"Raw.Fail":         {of[raw.Frame](), of[raw.Frame]()},
	"Debug.Health":     {of[debugpb.HealthRequest](), of[debugpb.HealthResponse]()},
	"Debug.Stats":      {of[debugpb.StatsRequest](), of[debugpb.StatsResponse]()},
	"Debug.Trace":      {of[debugpb.TraceRequest](), of[debugpb.TraceResponse]()},
	"Debug.Log":        {of[debugpb.LogRequest](), of[debugpb.Record]()},
	"Debug.MessageBus": {of[debugpb.BusMsg](), of[debugpb.BusMsg]()},
}

// payload is how a request line carries a body: JSON, or the exact bytes as text or hex.
type payload struct {
	Body json.RawMessage `json:"body"`
	Text *string         `json:"text"`
	Hex  *string         `json:"hex"`
	// typed (default where the endpoint has types), plain (any JSON), frame (bytes; default with text and hex)
	As string `json:"as"`
	// whose types to use; default the endpoint called
	Like string `json:"like"`
}

// exact is the bytes given as text or hex, nil without them.
func (p payload) exact() (*raw.Frame, error) {
	if p.Text != nil {
		return &raw.Frame{Data: []byte(*p.Text)}, nil
	}
	if p.Hex != nil {
		data, err := hex.DecodeString(*p.Hex)
		return &raw.Frame{Data: data}, err
	}
	return nil, nil
}

// values makes the request value and a fresh response for an endpoint.
func (p payload) values(endpoint string) (request, response any, err error) {
	frame, err := p.exact()
	if err != nil {
		return nil, nil, err
	}
	like := endpoint
	if p.Like != "" {
		like = p.Like
	}
	types, known := shapes[like]
	as := p.As
	switch {
	case as == "" && frame != nil:
		as = "frame"
	case as == "" && known:
		as = "typed"
	case as == "":
		as = "plain"
	}
	switch as {
	case "frame":
		if frame == nil {
			frame = &raw.Frame{Data: p.Body}
		}
		return frame, &raw.Frame{}, nil
	case "plain":
		body := p.Body
		if len(body) == 0 {
			body = json.RawMessage("{}")
		}
		return &body, &json.RawMessage{}, nil
	case "typed":
		if !known {
			return nil, nil, fmt.Errorf("no types known for %s", like)
		}
		request, response = types.request(), types.response()
		if frame != nil {
			return frame, response, nil
		}
		return request, response, fill(request, p.Body)
	}
	return nil, nil, fmt.Errorf("as must be typed, plain or frame, not %q", as)
}

func fill(value any, body json.RawMessage) error {
	if len(body) == 0 || bytes.Equal(body, []byte("null")) {
		return nil
	}
	switch v := value.(type) {
	case *raw.Frame:
		v.Data = body
		return nil
	case proto.Message:
		return protojson.Unmarshal(body, v)
	}
	return json.Unmarshal(body, value)
}

// show writes a received value into a result: body (JSON) or hex (bytes).
func show(result object, value any) error {
	switch v := value.(type) {
	case *raw.Frame:
		result["hex"] = hex.EncodeToString(v.Data)
	case *json.RawMessage:
		result["body"] = v
	case proto.Message:
		body, err := protojson.Marshal(v)
		if err != nil {
			return err
		}
		result["body"] = json.RawMessage(body)
	default:
		result["body"] = v
	}
	return nil
}

type fault struct {
	Text   string `json:"text"`
	EOF    bool   `json:"eof"`
	ID     string `json:"id"`
	Code   int32  `json:"code"`
	Detail string `json:"detail"`
	Status string `json:"status"`
}

// describe gives an error as a Go program sees it: the text, and what errors.FromError makes of it.
func describe(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Text: err.Error(), EOF: errors.Is(err, io.EOF)}
	if parsed := merrors.FromError(err); parsed != nil {
		f.ID, f.Code, f.Detail, f.Status = parsed.Id, parsed.Code, parsed.Detail, parsed.Status
	}
	return f
}
