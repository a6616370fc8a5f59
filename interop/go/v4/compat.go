package main

import (
	"crypto/tls"

	grpcclient "github.com/go-micro/plugins/v4/client/grpc"
	grpcserver "github.com/go-micro/plugins/v4/server/grpc"
	grpctransport "github.com/go-micro/plugins/v4/transport/grpc"
	"go-micro.dev/v4/broker"
	"go-micro.dev/v4/client"
	"go-micro.dev/v4/registry"
	"go-micro.dev/v4/server"
	"go-micro.dev/v4/transport"
)

// What has another name in the other version of Go Micro.
const module = "go-micro.dev/v4"

func newMDNS() registry.Registry { return registry.NewRegistry() }

func newHTTPBroker(opts ...broker.Option) broker.Broker { return broker.NewBroker(opts...) }

func newGRPCClient(config *tls.Config, opts ...client.Option) client.Client {
	if config != nil {
		opts = append(opts, grpcclient.AuthTLS(config))
	}
	return grpcclient.NewClient(opts...)
}

func newGRPCServer(config *tls.Config, opts ...server.Option) server.Server {
	if config != nil {
		opts = append(opts, grpcserver.AuthTLS(config))
	}
	return grpcserver.NewServer(opts...)
}

func newGRPCTransport(opts ...transport.Option) transport.Transport {
	return grpctransport.NewTransport(opts...)
}
