package kubeload

import (
	"fmt"
	"time"
)

// Options of a load. Zero values take the defaults.
type Options struct {
	Endpoints   []string
	Objects     int           // created by Load; default 20,000
	Clients     int           // concurrent writers; default 32
	Connections int           // of the clients, each over all endpoints; default 8
	Churn       time.Duration // length of the mixed phase; default 10 s; negative: none
	Rate        float64       // writes and reads per second in Churn; 0: as fast as it goes
	PageSize    int64         // of lists; default 500
	Prefix      string        // default /registry
	Seed        uint64        // default 1: the same objects every time
	// RequestTimeout bounds one request; default 10 s.
	RequestTimeout time.Duration
	// SettleTimeout bounds how long informers may take to catch up; default 60 s.
	SettleTimeout time.Duration
	// Progress is called now and then, from one goroutine at a time.
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	if len(o.Endpoints) == 0 {
		return fmt.Errorf("load: no endpoints")
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Objects, 20000}, {&o.Clients, 32}, {&o.Connections, 8}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("load: objects, clients and connections must be positive")
		}
	}
	if o.Churn == 0 {
		o.Churn = 10 * time.Second
	}
	if o.PageSize == 0 {
		o.PageSize = 500
	}
	if o.Prefix == "" {
		o.Prefix = "/registry"
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 10 * time.Second
	}
	if o.SettleTimeout == 0 {
		o.SettleTimeout = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.PageSize < 1 || o.Rate < 0 {
		return fmt.Errorf("load: page size must be positive, rate not negative")
	}
	return nil
}
