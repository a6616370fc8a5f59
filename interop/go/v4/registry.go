package main

import (
	"reflect"
	"sync"

	"go-micro.dev/v4/registry"
	"go-micro.dev/v4/selector"
)

// staticRegistry is the simplest registry: it knows what the steering process told it with "nodes" and what was
// registered in this process. It lets peers meet without multicast, and shows a Go client any record whatsoever.
type staticRegistry struct {
	lock     sync.Mutex
	told     map[string][]*registry.Service
	own      map[string]map[string]*registry.Service // name, node id
	watchers map[*staticWatcher]struct{}
}

func newStaticRegistry() *staticRegistry {
	return &staticRegistry{
		told:     map[string][]*registry.Service{},
		own:      map[string]map[string]*registry.Service{},
		watchers: map[*staticWatcher]struct{}{},
	}
}

func (r *staticRegistry) Init(...registry.Option) error { return nil }
func (r *staticRegistry) Options() registry.Options     { return registry.Options{} }
func (r *staticRegistry) String() string                { return "static" }

func (r *staticRegistry) Register(s *registry.Service, _ ...registry.RegisterOption) error {
	r.change(s.Name, func() {
		if r.own[s.Name] == nil {
			r.own[s.Name] = map[string]*registry.Service{}
		}
		for _, node := range s.Nodes {
			r.own[s.Name][node.Id] = s
		}
	})
	return nil
}

func (r *staticRegistry) Deregister(s *registry.Service, _ ...registry.DeregisterOption) error {
	r.change(s.Name, func() {
		for _, node := range s.Nodes {
			delete(r.own[s.Name], node.Id)
		}
	})
	return nil
}

func (r *staticRegistry) set(name string, records []*registry.Service) {
	r.change(name, func() { r.told[name] = records })
}

// GetService gives one record a version, as every registry of Go Micro does.
func (r *staticRegistry) GetService(name string, _ ...registry.GetOption) ([]*registry.Service, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if found := r.records(name); len(found) > 0 {
		return found, nil
	}
	return nil, registry.ErrNotFound
}

func (r *staticRegistry) ListServices(...registry.ListOption) ([]*registry.Service, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	names := map[string]bool{}
	for name := range r.told {
		names[name] = true
	}
	for name := range r.own {
		names[name] = true
	}
	var all []*registry.Service
	for name := range names {
		all = append(all, r.records(name)...)
	}
	return all, nil
}

func (r *staticRegistry) records(name string) []*registry.Service {
	var list []*registry.Service
	add := func(s *registry.Service, nodes []*registry.Node) {
		for _, known := range list {
			if known.Version == s.Version {
				known.Nodes = append(known.Nodes, nodes...)
				return
			}
		}
		copied := *s
		copied.Name = name
		copied.Nodes = append([]*registry.Node(nil), nodes...)
		list = append(list, &copied)
	}
	for _, s := range r.told[name] {
		if len(s.Nodes) > 0 {
			add(s, s.Nodes)
		}
	}
	for id, s := range r.own[name] {
		for _, node := range s.Nodes {
			if node.Id == id {
				add(s, []*registry.Node{node})
			}
		}
	}
	return list
}

// change applies fn and tells the watchers what came, changed and went.
func (r *staticRegistry) change(name string, fn func()) {
	r.lock.Lock()
	defer r.lock.Unlock()
	before := byNode(r.records(name))
	fn()
	after := byNode(r.records(name))
	for id, s := range before {
		if _, stays := after[id]; !stays {
			r.tell("delete", s)
		}
	}
	for id, s := range after {
		if old, known := before[id]; !known {
			r.tell("create", s)
		} else if !reflect.DeepEqual(old, s) {
			r.tell("update", s)
		}
	}
}

func byNode(list []*registry.Service) map[string]*registry.Service {
	nodes := map[string]*registry.Service{}
	for _, s := range list {
		for _, node := range s.Nodes {
			one := *s
			one.Nodes = []*registry.Node{node}
			nodes[s.Version+"\x00"+node.Id] = &one
		}
	}
	return nodes
}

func (r *staticRegistry) tell(action string, s *registry.Service) {
	for w := range r.watchers {
		if w.service == "" || w.service == s.Name {
			select {
			case w.results <- &registry.Result{Action: action, Service: s}:
			case <-w.stopped:
			}
		}
	}
}

func (r *staticRegistry) Watch(opts ...registry.WatchOption) (registry.Watcher, error) {
	var o registry.WatchOptions
	for _, opt := range opts {
		opt(&o)
	}
	w := &staticWatcher{registry: r, service: o.Service, results: make(chan *registry.Result, 1024), stopped: make(chan struct{})}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.watchers[w] = struct{}{}
	return w, nil
}

type staticWatcher struct {
	registry *staticRegistry
	service  string
	results  chan *registry.Result
	stopped  chan struct{}
	once     sync.Once
}

func (w *staticWatcher) Next() (*registry.Result, error) {
	select {
	case result := <-w.results:
		return result, nil
	case <-w.stopped:
		return nil, registry.ErrWatcherStopped
	}
}

func (w *staticWatcher) Stop() {
	w.once.Do(func() {
		close(w.stopped)
		w.registry.lock.Lock()
		defer w.registry.lock.Unlock()
		delete(w.registry.watchers, w)
	})
}

// recorder reports what this process registers, whichever registry is below.
type recorder struct {
	registry.Registry
	lock sync.Mutex
	seen map[string]*registry.Service // node id
}

func newRecorder(inner registry.Registry) *recorder {
	return &recorder{Registry: inner, seen: map[string]*registry.Service{}}
}

func (r *recorder) Register(s *registry.Service, opts ...registry.RegisterOption) error {
	if err := r.Registry.Register(s, opts...); err != nil {
		return err
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, node := range s.Nodes {
		if r.seen[node.Id] == nil {
			emit(object{"event": "registered", "service": s})
		}
		r.seen[node.Id] = s
	}
	return nil
}

func (r *recorder) Deregister(s *registry.Service, opts ...registry.DeregisterOption) error {
	err := r.Registry.Deregister(s, opts...)
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, node := range s.Nodes {
		if r.seen[node.Id] != nil {
			delete(r.seen, node.Id)
			emit(object{"event": "deregistered", "service": s})
		}
	}
	return err
}

func (r *recorder) find(name string) *registry.Service {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, s := range r.seen {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// directSelector asks the registry at each call: what a test has just set holds for the next call. The default
// selector caches for a minute.
type directSelector struct{ registry registry.Registry }

func (d *directSelector) Init(...selector.Option) error      { return nil }
func (d *directSelector) Options() selector.Options          { return selector.Options{Registry: d.registry} }
func (d *directSelector) Mark(string, *registry.Node, error) {}
func (d *directSelector) Reset(string)                       {}
func (d *directSelector) Close() error                       { return nil }
func (d *directSelector) String() string                     { return "direct" }

func (d *directSelector) Select(service string, opts ...selector.SelectOption) (selector.Next, error) {
	o := selector.SelectOptions{Strategy: selector.Random}
	for _, opt := range opts {
		opt(&o)
	}
	found, err := d.registry.GetService(service)
	if err == registry.ErrNotFound {
		return nil, selector.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	for _, filter := range o.Filters {
		found = filter(found)
	}
	if len(found) == 0 {
		return nil, selector.ErrNoneAvailable
	}
	return o.Strategy(found), nil
}
