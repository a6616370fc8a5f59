package main

import (
	grpcclient "github.com/go-micro/plugins/v4/client/grpc"
	grpcserver "github.com/go-micro/plugins/v4/server/grpc"
	"go-micro.dev/v4/client"
	"go-micro.dev/v4/server"
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
