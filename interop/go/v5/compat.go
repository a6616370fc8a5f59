package main

import (
	"go-micro.dev/v5/broker"
	"go-micro.dev/v5/registry"
)

// What has another name in the other version of Go Micro.
const module = "go-micro.dev/v5"

func newMDNS() registry.Registry { return registry.NewMDNSRegistry() }

func newHTTPBroker(opts ...broker.Option) broker.Broker { return broker.NewHttpBroker(opts...) }
