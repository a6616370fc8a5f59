// Command peer is a real Go Micro service and client, steered by JSON lines.
//
// Standard input: one request object a line, {"id":1,"op":"call",...}. Standard output: one reply a request,
// {"id":1,"result":{...}} or {"id":1,"failure":"text"} when the harness itself could not do it, and events,
// {"event":"invoked",...}. Logs go to standard error. Requests run at the same time, replies come as they are ready.
// The first request must be "init". The process stops its server and ends when standard input closes.
//
// interop/peer.ts documents every operation.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

type request struct {
	ID int64  `json:"id"`
	Op string `json:"op"`
}

type object map[string]any

// An operation reads its arguments from the request line and gives its result.
type operation func(p *peer, line []byte) (any, error)

var operations = map[string]operation{
	"version":             version,
	"stop":                stop,
	"crash":               crash,
	"counts":              counts,
	"invocations":         invocations,
	"relay":               relayTo,
	"call":                call,
	"callMany":            callMany,
	"stream.open":         streamOpen,
	"stream.send":         streamSend,
	"stream.recv":         streamRecv,
	"stream.error":        streamError,
	"stream.closeSend":    streamCloseSend,
	"stream.close":        streamClose,
	"publish":             publish,
	"broker.publish":      brokerPublish,
	"subscribe":           subscribe,
	"unsubscribe":         unsubscribe,
	"nodes":               nodes,
	"select":              selectNode,
	"registry.get":        registryGet,
	"registry.list":       registryList,
	"registry.register":   registryRegister,
	"registry.deregister": registryDeregister,
	"registry.watch":      registryWatch,
	"registry.unwatch":    registryUnwatch,
}

var (
	out     *bufio.Writer
	outLock sync.Mutex
)

func emit(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		line, _ = json.Marshal(object{"event": "unwritable", "detail": err.Error()})
	}
	outLock.Lock()
	defer outLock.Unlock()
	out.Write(line)
	out.WriteByte('\n')
	out.Flush()
}

func main() {
	out = bufio.NewWriter(os.Stdout)
	os.Stdout = os.Stderr // whatever a library prints must not break the protocol

	var p *peer
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan struct{})
	var lock sync.Mutex
	current := func() *peer {
		lock.Lock()
		defer lock.Unlock()
		return p
	}
	go func() {
		defer close(ended)
		in := bufio.NewReader(os.Stdin)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				if err != io.EOF {
					fmt.Fprintln(os.Stderr, "reading requests:", err)
				}
				return
			}
			var r request
			if err := json.Unmarshal(line, &r); err != nil {
				emit(object{"event": "unreadable", "detail": err.Error()})
				continue
			}
			if r.Op == "init" {
				made, result, err := newPeer(line)
				lock.Lock()
				p = made
				lock.Unlock()
				reply(r.ID, result, err)
				continue
			}
			do, known := operations[r.Op]
			if !known || current() == nil {
				reply(r.ID, nil, fmt.Errorf("no operation %q, or before init", r.Op))
				continue
			}
			go func() {
				defer func() {
					if fault := recover(); fault != nil {
						fmt.Fprintf(os.Stderr, "%v\n%s", fault, debug.Stack())
						reply(r.ID, nil, fmt.Errorf("panic: %v", fault))
					}
				}()
				result, err := do(current(), line)
				reply(r.ID, result, err)
			}()
		}
	}()

	select {
	case <-ended:
	case <-terminated: // what micro.Service does: Stop, then exit
	}
	if p := current(); p != nil {
		done := make(chan struct{})
		go func() {
			p.stop()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
		}
	}
}

func reply(id int64, result any, err error) {
	if err != nil {
		emit(object{"id": id, "failure": err.Error()})
		return
	}
	if result == nil {
		result = object{}
	}
	emit(object{"id": id, "result": result})
}

func version(*peer, []byte) (any, error) {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == module {
			return object{"module": dep.Path, "version": dep.Version, "go": runtime.Version()}, nil
		}
	}
	return nil, fmt.Errorf("%s is not in this binary", module)
}

func stop(p *peer, _ []byte) (any, error) {
	started := time.Now()
	if err := p.stop(); err != nil {
		return nil, err
	}
	return object{"ms": since(started)}, nil
}

func crash(*peer, []byte) (any, error) {
	os.Exit(3)
	return nil, nil
}

func since(t time.Time) float64 { return float64(time.Since(t).Microseconds()) / 1000 }
