package main

import (
	"go-micro.dev/v4/broker"
	"go-micro.dev/v4/registry"
)

// What has another name in the other version of Go Micro.
const module = "go-micro.dev/v4"

func newMDNS() registry.Registry { return registry.NewRegistry() }

func newHTTPBroker(opts ...broker.Option) broker.Broker { return broker.NewBroker(opts...) }
