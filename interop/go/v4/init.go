package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go-micro.dev/v4/broker"
	"go-micro.dev/v4/client"
	"go-micro.dev/v4/debug/handler"
	debugpb "go-micro.dev/v4/debug/proto"
	"go-micro.dev/v4/selector"
	"go-micro.dev/v4/server"
	"go-micro.dev/v4/transport"

	"interop/pb"
)

// settings are the arguments of "init"; GoPeerOptions in interop/peer.ts says what each means.
type settings struct {
	Serve         bool              `json:"serve"`
	Name          string            `json:"name"`
	NodeID        string            `json:"nodeId"`
	Version       string            `json:"version"`
	Address       string            `json:"address"`
	Advertise     string            `json:"advertise"`
	Metadata      map[string]string `json:"metadata"`
	Registry      string            `json:"registry"`
	BrokerAddress string            `json:"brokerAddress"`
	Protocol      string            `json:"protocol"`
	Transport     string            `json:"transport"`
	Wait          bool              `json:"wait"`
	Debug         string            `json:"debug"`
	Trace         bool              `json:"trace"`
	Subscribers   []subscription    `json:"subscribers"`

	RegisterTTLMs      int64 `json:"registerTtlMs"`
	RegisterIntervalMs int64 `json:"registerIntervalMs"`

	Secure             bool   `json:"secure"`
	CertPem            string `json:"certPem"`
	KeyPem             string `json:"keyPem"`
	ClientSecure       bool   `json:"clientSecure"`
	InsecureSkipVerify bool   `json:"insecureSkipVerify"`
	CaPem              string `json:"caPem"`

	Cache       *bool  `json:"cache"`
	ContentType string `json:"contentType"`
	PoolSize    int    `json:"poolSize"`
	PoolTTLMs   int64  `json:"poolTtlMs"`
	callLimits
}

type peer struct {
	settings settings
	static   *staticRegistry // nil with mdns
	registry *recorder
	client   client.Client
	broker   broker.Broker
	server   server.Server // nil when it only calls
	ledger   *ledger

	stopOnce sync.Once
	stopErr  error

	lock    sync.Mutex
	relay   relayTarget
	streams map[int64]*openStream
	subs    map[int64]broker.Subscriber
	watches map[int64]interface{ Stop() }
	serial  int64
}

// next numbers streams, subscriptions and watches; the caller holds the lock.
func (p *peer) next() int64 {
	p.serial++
	return p.serial
}

func newPeer(line []byte) (*peer, any, error) {
	s := settings{Debug: "generated", Address: "127.0.0.1:0", BrokerAddress: "127.0.0.1:0", Registry: "static"}
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, nil, err
	}
	p := &peer{
		settings: s,
		ledger:   newLedger(s.Trace),
		streams:  map[int64]*openStream{},
		subs:     map[int64]broker.Subscriber{},
		watches:  map[int64]interface{ Stop() }{},
		relay:    relayTarget{Endpoint: "Greeter.Hello", ContentType: "application/json"},
	}
	switch s.Registry {
	case "static":
		p.static = newStaticRegistry()
		p.registry = newRecorder(p.static)
	case "mdns":
		p.registry = newRecorder(newMDNS())
	default:
		return nil, nil, errors.New("registry must be static or mdns")
	}
	p.broker = newHTTPBroker(broker.Registry(p.registry), broker.Addrs(s.BrokerAddress))
	if err := p.makeClient(); err != nil {
		return nil, nil, err
	}
	if !s.Serve {
		return p, object{}, nil
	}
	if err := p.serve(); err != nil {
		return nil, nil, err
	}
	return p, object{
		"service":       p.registry.find(s.Name),
		"address":       p.server.Options().Address,
		"brokerAddress": p.broker.Address(),
	}, nil
}

func (p *peer) makeClient() error {
	s := p.settings
	var choice selector.Selector
	if cached := s.Cache; (cached == nil && p.static != nil) || (cached != nil && !*cached) {
		choice = &directSelector{registry: p.registry}
	} else {
		choice = selector.NewSelector(selector.Registry(p.registry))
	}
	opts := []client.Option{
		client.Registry(p.registry),
		client.Selector(choice),
		client.Broker(p.broker),
		func(o *client.Options) { s.callLimits.apply(&o.CallOptions) },
	}
	var secured *tls.Config
	if s.ClientSecure {
		config := &tls.Config{InsecureSkipVerify: s.InsecureSkipVerify}
		if s.CaPem != "" {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM([]byte(s.CaPem)) {
				return errors.New("caPem holds no certificate")
			}
		}
		secure := []transport.Option{transport.Secure(true)}
		if s.InsecureSkipVerify || s.CaPem != "" { // else Go Micro's own default
			secure = append(secure, transport.TLSConfig(config))
		}
		secured = config
		opts = append(opts, client.Transport(p.transport(secure...)))
	} else {
		opts = append(opts, client.Transport(p.transport()))
	}
	if s.ContentType != "" {
		opts = append(opts, client.ContentType(s.ContentType))
	}
	if s.PoolSize > 0 {
		opts = append(opts, client.PoolSize(s.PoolSize))
	}
	if s.PoolTTLMs > 0 {
		opts = append(opts, client.PoolTTL(ms(s.PoolTTLMs)))
	}
	if s.Protocol == "grpc" {
		p.client = newGRPCClient(secured, opts...)
	} else {
		p.client = client.NewClient(opts...)
	}
	return nil
}

// transport makes what mucp stands on.
func (p *peer) transport(opts ...transport.Option) transport.Transport {
	if p.settings.Transport == "grpc" {
		return newGRPCTransport(opts...)
	}
	return transport.NewHTTPTransport(opts...)
}

func (p *peer) serve() error {
	s := p.settings
	opts := []server.Option{
		server.Name(s.Name),
		server.Address(s.Address),
		server.Registry(p.registry),
		server.Broker(p.broker),
		server.Context(context.Background()),
		server.WrapHandler(p.ledger.wrap),
	}
	if s.NodeID != "" {
		opts = append(opts, server.Id(s.NodeID))
	}
	if s.Version != "" {
		opts = append(opts, server.Version(s.Version))
	}
	if s.Advertise != "" {
		opts = append(opts, server.Advertise(s.Advertise))
	}
	if s.Metadata != nil {
		opts = append(opts, server.Metadata(s.Metadata))
	}
	if s.RegisterTTLMs > 0 {
		opts = append(opts, server.RegisterTTL(ms(s.RegisterTTLMs)))
	}
	if s.RegisterIntervalMs > 0 {
		opts = append(opts, server.RegisterInterval(ms(s.RegisterIntervalMs)))
	}
	if s.Wait {
		opts = append(opts, server.Wait(nil))
	}
	secure := []transport.Option{transport.Secure(s.Secure)}
	var secured *tls.Config
	if s.CertPem != "" {
		pair, err := tls.X509KeyPair([]byte(s.CertPem), []byte(s.KeyPem))
		if err != nil {
			return err
		}
		secured = &tls.Config{Certificates: []tls.Certificate{pair}}
		secure = append(secure, transport.TLSConfig(secured))
	}
	opts = append(opts, server.Transport(p.transport(secure...)))

	if s.Protocol == "grpc" {
		p.server = newGRPCServer(secured, opts...)
	} else {
		p.server = server.NewRPCServer(opts...)
	}
	if err := pb.RegisterGreeterHandler(p.server, &Greeter{ledger: p.ledger}); err != nil {
		return err
	}
	for _, h := range []any{&Plain{}, &Raw{}, &Relay{peer: p}} {
		if err := p.server.Handle(p.server.NewHandler(h)); err != nil {
			return err
		}
	}
	switch s.Debug {
	case "generated":
		if err := debugpb.RegisterDebugHandler(p.server, handler.NewHandler(p.client)); err != nil {
			return err
		}
	case "direct":
		if err := p.server.Handle(p.server.NewHandler(handler.NewHandler(p.client))); err != nil {
			return err
		}
	}
	for _, sub := range s.Subscribers {
		if err := p.declare(sub); err != nil {
			return err
		}
	}
	return p.server.Start()
}

// stop ends the server once; later calls give the first outcome.
func (p *peer) stop() error {
	p.stopOnce.Do(func() {
		if p.server != nil {
			p.stopErr = p.server.Stop()
		}
		p.lock.Lock()
		subs := p.subs
		p.subs = map[int64]broker.Subscriber{}
		p.lock.Unlock()
		for _, sub := range subs {
			sub.Unsubscribe()
		}
	})
	return p.stopErr
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
