// One end of a Go Micro peer of the bench. The server prints its address; the client is told its cells, a line of JSON each, and answers
// each with its figures. Default options of Go Micro: cached registry, random selector, pool of connections.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go-micro.dev/v5/broker"
	"go-micro.dev/v5/client"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/server"
	"interop/pb"
)

const name = "bench"

type Greeter struct{}

func (*Greeter) Hello(_ context.Context, in *pb.HelloRequest, out *pb.HelloResponse) error {
	out.Msg = "Hello " + in.Name
	return nil
}

type cell struct {
	Name     string  `json:"name"`
	InFlight int     `json:"inFlight"`
	Ms       float64 `json:"ms"`
}

type figures struct {
	Calls int     `json:"calls"`
	Rate  float64 `json:"rate"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
}

func main() {
	protocol := flag.String("protocol", "mucp", "mucp or grpc")
	address := flag.String("client", "", "address of the server to call; empty: be the server")
	flag.Parse()
	run := func() error { return load(*protocol, *address) }
	if *address == "" {
		run = func() error { return serve(*protocol) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(protocol string) error {
	s := newServer(protocol,
		server.Name(name),
		server.Address("127.0.0.1:0"),
		server.Registry(registry.NewMemoryRegistry()),
		server.Broker(broker.NewMemoryBroker()),
	)
	if err := s.Handle(s.NewHandler(&Greeter{})); err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	fmt.Printf("{\"address\":%q}\n", s.Options().Address)
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // to the end of the parent
	return s.Stop()
}

func load(protocol, address string) error {
	known := registry.NewMemoryRegistry()
	node := &registry.Node{
		Id:       name + "-1",
		Address:  address,
		Metadata: map[string]string{"protocol": protocol, "server": protocol, "transport": "http", "registry": "memory"},
	}
	if err := known.Register(&registry.Service{Name: name, Version: "latest", Nodes: []*registry.Node{node}}); err != nil {
		return err
	}
	c := newClient(protocol, client.Registry(known), client.Broker(broker.NewMemoryBroker()))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var one cell
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		measured, err := one.run(c, protocol)
		if err != nil {
			return err
		}
		if err := out.Encode(measured); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (one cell) run(c client.Client, protocol string) (*figures, error) {
	var (
		lock  sync.Mutex
		all   []time.Duration
		fault error
		done  sync.WaitGroup
	)
	contentType := "application/json"
	if protocol == "grpc" {
		contentType = "application/grpc+proto"
	}
	began := time.Now()
	end := began.Add(time.Duration(one.Ms * float64(time.Millisecond)))
	for range one.InFlight {
		done.Add(1)
		go func() {
			defer done.Done()
			var own []time.Duration
			at := time.Now()
			for {
				var reply pb.HelloResponse
				request := c.NewRequest(name, "Greeter.Hello", &pb.HelloRequest{Name: one.Name}, client.WithContentType(contentType))
				err := c.Call(context.Background(), request, &reply)
				if err == nil && len(reply.Msg) != len(one.Name)+len("Hello ") {
					err = errors.New("a wrong reply: " + strings.ToValidUTF8(reply.Msg, "?"))
				}
				now := time.Now()
				own = append(own, now.Sub(at))
				at = now
				if err != nil || now.After(end) {
					lock.Lock()
					all = append(all, own...)
					fault = errors.Join(fault, err)
					lock.Unlock()
					return
				}
			}
		}()
	}
	done.Wait()
	elapsed := time.Since(began)
	if fault != nil {
		return nil, fault
	}
	slices.Sort(all)
	us := func(part float64) float64 { return float64(all[int(float64(len(all))*part)].Nanoseconds()) / 1000 }
	return &figures{len(all), float64(len(all)) / elapsed.Seconds(), us(0.5), us(0.99)}, nil
}
