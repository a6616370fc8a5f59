package main

import (
	"go-micro.dev/v5/client"
	grpcclient "go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/server"
	grpcserver "go-micro.dev/v5/server/grpc"
)

func newClient(protocol string, options ...client.Option) client.Client {
	if protocol == "grpc" {
		return grpcclient.NewClient(options...)
	}
	return client.NewClient(options...)
}

func newServer(protocol string, options ...server.Option) server.Server {
	if protocol == "grpc" {
		return grpcserver.NewServer(options...)
	}
	return server.NewServer(options...)
}
