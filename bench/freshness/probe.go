package freshness

import (
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Probe is what is measured on a cluster that runs. Zero values take the
// defaults.
type Probe struct {
	Prefix  string  // that is watched; default fresh/
	Ranges  int     // of the watched prefix; default 8
	Samples int     // of each measurement; default 400
	Rate    float64 // puts per second of each writer; default 100
	// Wait bounds one wait for progress or an event; default 10 s.
	Wait time.Duration
}

// Complete sets the defaults.
func (p *Probe) Complete() error {
	if p.Prefix == "" {
		p.Prefix = "fresh/"
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&p.Ranges, 8}, {&p.Samples, 400}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 1 {
			return fmt.Errorf("freshness: counts must be positive")
		}
	}
	if p.Rate == 0 {
		p.Rate = 100
	}
	if p.Rate < 0 {
		return fmt.Errorf("freshness: rate must be positive")
	}
	if p.Wait == 0 {
		p.Wait = 10 * time.Second
	}
	return nil
}

// absent sorts into the watched prefix, like a resource's own name.
func (p *Probe) absent() string { return p.Prefix + "absent" }

// elsewhere is the first key after the prefix.
func (p *Probe) elsewhere() string { return clientv3.GetPrefixRangeEnd(p.Prefix) }

// rangePrefix is the part of the prefix that the i-th range holds.
func (p *Probe) rangePrefix(i int) string { return fmt.Sprintf("%s%02d/", p.Prefix, i) }

// SplitKeys puts each part into a range of its own and the rest apart.
func (p *Probe) SplitKeys() []string {
	var keys []string
	for i := range p.Ranges {
		keys = append(keys, p.rangePrefix(i))
	}
	return append(keys, p.elsewhere())
}
