package main

import (
	"crypto/tls"

	"go-micro.dev/v5/broker"
	"go-micro.dev/v5/client"
	grpcclient "go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/server"
	grpcserver "go-micro.dev/v5/server/grpc"
	"go-micro.dev/v5/transport"
	grpctransport "go-micro.dev/v5/transport/grpc"
)

// What has another name in the other version of Go Micro.
const module = "go-micro.dev/v5"

func newMDNS() registry.Registry { return registry.NewMDNSRegistry() }

func newHTTPBroker(opts ...broker.Option) broker.Broker { return broker.NewHttpBroker(opts...) }

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
