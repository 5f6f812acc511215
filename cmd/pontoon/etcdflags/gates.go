package etcdflags

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Gates are feature gates, by name, that were set.
type Gates map[string]bool

// gate is a feature that etcd 3.7 can switch.
type gate struct {
	on  bool   // by default
	why string // it is not switched here; empty: it is
}

// stages are the gates that set all of one stage.
var stages = map[string]bool{"AllAlpha": false, "AllBeta": true}

var gates = map[string]gate{
	"CompactHashCheck":             {false, otherCheck},
	"FastLeaseKeepAlive":           {true, "a renewal never waits for an applied index"},
	"InitialCorruptCheck":          {false, otherCheck},
	"LeaseCheckpoint":              {false, ""},
	"LeaseCheckpointPersist":       {false, "what LeaseCheckpoint keeps is always on disk"},
	"PriorityRequest":              {false, "no backlog of another range keeps a revocation waiting"},
	"SetMemberLocalAddr":           {false, "connections to members leave from where the system routes them"},
	"StopGRPCServiceOnDefrag":      {false, "defragmentation never blocks requests"},
	"TxnModeWriteWithSharedBuffer": {true, "transactions read without a buffer"},
}

func featureGates(s *Settings) Value {
	return &value[Gates]{
		to: &s.Gates, kind: "gates", parse: parseGates,
		text: func(g Gates) string {
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(g)) {
				parts = append(parts, fmt.Sprintf("%s=%t", name, g[name]))
			}
			return strings.Join(parts, ",")
		},
		json: func(raw json.RawMessage) (Gates, error) {
			t, err := scalarText(raw)
			if err != nil {
				return nil, err
			}
			return parseGates(t)
		},
	}
}

// parseGates reads NAME=BOOL,... with etcd's refusals.
func parseGates(t string) (Gates, error) {
	got := Gates{}
	for part := range strings.SplitSeq(t, ",") {
		if part == "" {
			continue
		}
		name, val, ok := strings.Cut(part, "=")
		name, val = strings.TrimSpace(name), strings.TrimSpace(val)
		if !ok {
			return nil, fmt.Errorf("missing bool value for %s", name)
		}
		on, err := strconv.ParseBool(val)
		if err != nil {
			return nil, fmt.Errorf("invalid value of %s=%s, err: %w", name, val, err)
		}
		_, known := gates[name]
		if _, stage := stages[name]; !known && !stage {
			return nil, fmt.Errorf("unrecognized feature gate: %s", name)
		}
		got[name] = on
	}
	return got, nil
}

// enabled says whether a gate is on, by itself, its stage or its default.
func (g Gates) enabled(name string) bool {
	if on, set := g[name]; set {
		return on
	}
	for stage, beta := range stages {
		if on, set := g[stage]; set && gates[name].on == beta {
			return on
		}
	}
	return gates[name].on
}

// warnings name the gates that are not as they would be by default.
func (g Gates) warnings() (list []string) {
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		if why := gates[name].why; why != "" && g.enabled(name) != gates[name].on {
			list = append(list, fmt.Sprintf("--feature-gates: %s has no effect: %s", name, why))
		}
	}
	return list
}
