package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"go-micro.dev/v4/registry"
)

type recordArgs struct {
	Name    string              `json:"name"`
	Service *registry.Service   `json:"service"`
	Records []*registry.Service `json:"records"`
	TTLMs   int64               `json:"ttlMs"`
	Watch   int64               `json:"watch"`
	Times   int                 `json:"times"`
}

func nodes(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	if p.static == nil {
		return nil, errors.New("nodes needs the static registry")
	}
	p.static.set(a.Name, a.Records)
	return nil, nil
}

// selectNode gives the addresses that the client's own selector chooses.
func selectNode(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	next, err := p.client.Options().Selector.Select(a.Name)
	if err != nil {
		return object{"nodes": []any{}, "error": describe(err)}, nil
	}
	chosen := []*registry.Node{}
	for range max(a.Times, 1) {
		node, err := next()
		if err != nil {
			return object{"nodes": chosen, "error": describe(err)}, nil
		}
		chosen = append(chosen, node)
	}
	return object{"nodes": chosen}, nil
}

func registryGet(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	found, err := p.registry.GetService(a.Name)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if found == nil {
		found = []*registry.Service{}
	}
	return object{"services": found}, nil
}

func registryList(p *peer, _ []byte) (any, error) {
	found, err := p.registry.ListServices()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, s := range found {
		names = append(names, s.Name)
	}
	return object{"names": names}, nil
}

func registryRegister(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	return nil, p.registry.Register(a.Service, registry.RegisterTTL(ms(a.TTLMs)))
}

func registryDeregister(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	return nil, p.registry.Deregister(a.Service)
}

func registryWatch(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	var opts []registry.WatchOption
	if a.Name != "" {
		opts = append(opts, registry.WatchService(a.Name))
	}
	w, err := p.registry.Watch(opts...)
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	number := p.next()
	p.watches[number] = w
	p.lock.Unlock()
	go func() {
		for {
			result, err := w.Next()
			if err != nil {
				emit(object{"event": "unwatched", "watch": number, "detail": err.Error()})
				return
			}
			emit(object{"event": "watched", "watch": number, "action": result.Action, "service": result.Service})
		}
	}()
	return object{"watch": number}, nil
}

func registryUnwatch(p *peer, line []byte) (any, error) {
	var a recordArgs
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	p.lock.Lock()
	w := p.watches[a.Watch]
	delete(p.watches, a.Watch)
	p.lock.Unlock()
	if w == nil {
		return nil, fmt.Errorf("no watch %d", a.Watch)
	}
	w.Stop()
	return nil, nil
}
