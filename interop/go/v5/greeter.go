package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	merrors "go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"

	"interop/pb"
)

// Greeter serves interop/proto/greeter.proto.
type Greeter struct {
	ledger   *ledger
	lock     sync.Mutex
	attempts map[string]int64
}

func (g *Greeter) Hello(_ context.Context, in *pb.HelloRequest, out *pb.HelloResponse) error {
	out.Msg = "Hello " + in.Name
	return nil
}

// Echo gives back the note and all metadata that the handler sees.
func (g *Greeter) Echo(ctx context.Context, in *pb.EchoRequest, out *pb.EchoResponse) error {
	out.Note = in.Note
	md, _ := metadata.FromContext(ctx)
	out.Metadata = md
	return nil
}

func (g *Greeter) Fail(_ context.Context, in *pb.FailRequest, _ *pb.Empty) error {
	return failure(in.Kind, in.Detail, in.Code)
}

// failure makes the error of a kind. The id is "greeter", but for custom: "greeter.custom".
func failure(kind, detail string, code int32) error {
	switch kind {
	case "badrequest":
		return merrors.BadRequest("greeter", "%s", detail)
	case "unauthorized":
		return merrors.Unauthorized("greeter", "%s", detail)
	case "forbidden":
		return merrors.Forbidden("greeter", "%s", detail)
	case "notfound":
		return merrors.NotFound("greeter", "%s", detail)
	case "method":
		return merrors.MethodNotAllowed("greeter", "%s", detail)
	case "timeout":
		return merrors.Timeout("greeter", "%s", detail)
	case "conflict":
		return merrors.Conflict("greeter", "%s", detail)
	case "internal":
		return merrors.InternalServerError("greeter", "%s", detail)
	case "custom":
		return merrors.New("greeter.custom", detail, code)
	case "plain":
		return errors.New(detail)
	case "eof":
		return io.EOF
	case "deadline":
		return context.DeadlineExceeded
	case "panic":
		panic(detail)
	case "multi":
		many := merrors.NewMultiError()
		many.Append(&merrors.Error{Id: "one", Code: 400, Detail: detail}, &merrors.Error{Id: "two", Code: 500, Detail: detail})
		return many
	}
	return fmt.Errorf("no such kind of failure: %s", kind)
}

// Slow sleeps ms or until its context ends; it says which attempt of its tag this was and the deadline it was given.
func (g *Greeter) Slow(ctx context.Context, in *pb.SlowRequest, out *pb.SlowResponse) error {
	g.lock.Lock()
	if g.attempts == nil {
		g.attempts = map[string]int64{}
	}
	g.attempts[in.Tag]++
	out.Attempt = g.attempts[in.Tag]
	g.lock.Unlock()
	out.Deadline = "none"
	if at, given := ctx.Deadline(); given {
		out.Deadline = time.Until(at).Round(time.Millisecond).String()
	}
	// Cancelled between the call and here is cancelled too; a deadline that has passed is an answer of its own.
	if err := ctx.Err(); err != nil && err != context.Canceled {
		return err
	}
	timer := time.NewTimer(ms(in.Ms))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		g.ledger.note(object{"event": "cancelled", "endpoint": "Greeter.Slow", "tag": in.Tag, "detail": ctx.Err().Error()})
		return ctx.Err()
	}
}

// Big gives want bytes of 'x', or the bytes it got.
func (g *Greeter) Big(_ context.Context, in *pb.BigMessage, out *pb.BigMessage) error {
	out.Data, out.Want = in.Data, in.Want
	if in.Want > 0 {
		out.Data = []byte(strings.Repeat("x", int(in.Want)))
	}
	return nil
}

func (g *Greeter) Kinds(_ context.Context, in *pb.AllKinds, out *pb.AllKinds) error {
	out.FirstName, out.BigNumber, out.BigUnsigned, out.Ratio = in.FirstName, in.BigNumber, in.BigUnsigned, in.Ratio
	out.IsOn, out.RawData, out.Colour, out.CreatedAt = in.IsOn, in.RawData, in.Colour, in.CreatedAt
	out.Choice, out.InnerList, out.CountsByKey, out.MaybeZero = in.Choice, in.InnerList, in.CountsByKey, in.MaybeZero
	return nil
}

func (g *Greeter) Nothing(context.Context, *pb.Empty, *pb.Empty) error { return nil }

// Stream sends count messages numbered from 0, delay_ms before each but the first, then fails with fail_with if set.
func (g *Greeter) Stream(_ context.Context, in *pb.StreamRequest, stream pb.Greeter_StreamStream) error {
	for n := int64(0); n < in.Count; n++ {
		if n > 0 && in.DelayMs > 0 {
			time.Sleep(ms(in.DelayMs))
		}
		if err := stream.Send(&pb.StreamResponse{N: n, Pad: strings.Repeat("x", int(in.Size))}); err != nil {
			return err
		}
	}
	if in.DelayMs > 0 {
		time.Sleep(ms(in.DelayMs))
	}
	if in.FailWith != "" {
		return failure(in.FailWith, "stream failed", 0)
	}
	return nil
}

// Chat answers each text with "re: text"; "quit" ends it, "fail:KIND" fails it.
func (g *Greeter) Chat(_ context.Context, stream pb.Greeter_ChatStream) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return g.ended("Greeter.Chat", err)
		}
		if in.Text == "quit" {
			return nil
		}
		if kind, fails := strings.CutPrefix(in.Text, "fail:"); fails {
			return failure(kind, "chat failed", 0)
		}
		if err := stream.Send(&pb.ChatMessage{Text: "re: " + in.Text, N: in.N}); err != nil {
			return err
		}
	}
}

// Collect counts messages until one says "end", then answers. A caller that just closes gets no answer.
func (g *Greeter) Collect(_ context.Context, stream pb.Greeter_CollectStream) error {
	result := &pb.CollectResponse{}
	for {
		in, err := stream.Recv()
		if err != nil {
			g.ledger.note(object{"event": "collected", "count": result.Count, "last": result.Last})
			return g.ended("Greeter.Collect", err)
		}
		result.Count++
		result.Last = in.Text
		if in.Text == "end" {
			return stream.SendMsg(result)
		}
	}
}

// ended reports how the caller ended a stream; io.EOF is the regular way.
func (g *Greeter) ended(endpoint string, err error) error {
	eof := errors.Is(err, io.EOF)
	g.ledger.note(object{"event": "streamEnd", "endpoint": endpoint, "eof": eof, "detail": err.Error()})
	if eof {
		return nil
	}
	return err
}
