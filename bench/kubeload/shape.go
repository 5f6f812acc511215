package kubeload

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// resource is one kind of object: its share of all objects, of all updates, and
// its size in bytes.
type resource struct {
	name      string // as in the key
	share     int    // of objects, in thousandths
	updates   int    // of updates, in thousandths
	typical   int
	least     int
	most      int
	namespace string // fixed namespace; "" with spread for many, else none
	spread    bool   // over many namespaces
	expires   bool   // attached to a lease of an hour, as events are
}

// resources is the mix of a cluster, in key order. Node leases dominate the
// updates, pods and events the objects.
var resources = []resource{
	{name: "configmaps", share: 100, updates: 20, typical: 1800, least: 500, most: 20000, spread: true},
	{name: "deployments", share: 20, updates: 20, typical: 4000, least: 1500, most: 9000, spread: true},
	{name: "endpointslices", share: 80, updates: 40, typical: 4600, least: 1000, most: 15000, spread: true},
	{name: "events", share: 220, updates: 20, typical: 550, least: 400, most: 1500, spread: true, expires: true},
	{name: "leases", share: 60, updates: 550, typical: 467, least: 420, most: 600, namespace: "kube-node-lease"},
	{name: "minions", share: 40, updates: 50, typical: 6000, least: 4000, most: 12000}, // nodes, by their old name
	{name: "pods", share: 380, updates: 270, typical: 5000, least: 2000, most: 20000, spread: true},
	{name: "replicasets", share: 30, updates: 20, typical: 3500, least: 1500, most: 9000, spread: true},
	{name: "secrets", share: 70, updates: 10, typical: 2200, least: 500, most: 10000, spread: true},
}

const (
	namespaces = 40
	thousand   = 1000
)

// size draws a size: log-normal around the typical one.
func (r *resource) size(rng *rand.Rand) int {
	s := float64(r.typical) * math.Exp(rng.NormFloat64()*0.45)
	return min(r.most, max(r.least, int(s)))
}

// span returns the prefix under which a resource lives.
func (r *resource) span(prefix string) string { return prefix + "/" + r.name + "/" }

// key names the i-th object of the resource.
func (r *resource) key(prefix string, i int) string {
	switch {
	case r.namespace != "":
		return fmt.Sprintf("%s%s/%s-%06d", r.span(prefix), r.namespace, r.name, i)
	case r.spread:
		return fmt.Sprintf("%steam-%02d/%s-%06d", r.span(prefix), i%namespaces, r.name, i)
	}
	return fmt.Sprintf("%s%s-%06d", r.span(prefix), r.name, i)
}

// pickResource draws a resource by weight.
func pickResource(rng *rand.Rand, weight func(*resource) int) int {
	total := 0
	for i := range resources {
		total += weight(&resources[i])
	}
	n := rng.IntN(total)
	for i := range resources {
		if n -= weight(&resources[i]); n < 0 {
			return i
		}
	}
	return len(resources) - 1
}

// SplitKeys returns n-1 keys that cut the keys of a load of that many objects
// into n parts with about equal numbers of objects.
func SplitKeys(prefix string, objects, n int) []string {
	var keys []string
	for i := 1; i < n; i++ {
		at := float64(i) / float64(n) * thousand
		for j := range resources {
			r := &resources[j]
			if at >= float64(r.share) {
				at -= float64(r.share)
				continue
			}
			part := at / float64(r.share)
			index := int(part * float64(objects*r.share/thousand))
			if r.spread {
				index = int(part * namespaces)
			}
			keys = append(keys, r.key(prefix, index))
			break
		}
	}
	return keys
}
