package admin

import (
	"fmt"
	"math"
	"strconv"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// setting is one field of Settings as text. A zero field means the default.
type setting struct {
	name, byDefault, help string
	unit                  unit
	whole                 func(*pontoonpb.Settings) *int64   // exactly one of whole,
	real                  func(*pontoonpb.Settings) *float64 // real and flag is set
	flag                  func(*pontoonpb.Settings) *bool
	least, most           float64
	odd                   bool
	never                 bool // "off" is a value, kept as -1
}

const day = 24 * 60 * 60

// table holds all settings in the order of pontoon.proto.
var table = []setting{
	{
		name: "replication_factor", byDefault: "3", unit: count, least: 1, most: 9, odd: true,
		help:  "replicas of a range",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.ReplicationFactor },
	}, {
		name: "root_replication_factor", byDefault: "3, from five nodes on 5", unit: count, least: 1, most: 9, odd: true,
		help:  "replicas of the root range",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.RootReplicationFactor },
	}, {
		name: "dead_after_seconds", byDefault: "5m", unit: seconds, least: 1, most: 30 * day,
		help:  "a node that is away for so long counts as lost: its replicas are rebuilt elsewhere",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.DeadAfterSeconds },
	}, {
		name: "range_max_bytes", byDefault: "256MiB", unit: bytesUnit, least: 1 << 20, most: 1 << 40,
		help:  "a bigger range splits",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.RangeMaxBytes },
	}, {
		name: "range_merge_bytes", byDefault: "64MiB", unit: bytesUnit, least: 1, most: 1 << 39, never: true,
		help:  "neighbours that are smaller together merge when they are cold; off: never",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.RangeMergeBytes },
	}, {
		name: "split_busy", byDefault: "0.5", unit: plain, least: 0.01, most: 1, never: true,
		help: "a range that keeps its worker busy for more than this share splits at the key that halves the load; off: never",
		real: func(s *pontoonpb.Settings) *float64 { return &s.SplitBusy },
	}, {
		name: "moves_per_node", byDefault: "2", unit: count, least: 1, most: 64,
		help:  "replica moves in flight at one node",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.MovesPerNode },
	}, {
		name: "snapshot_bytes_per_second", byDefault: "64MiB", unit: bytesUnit, least: 64 << 10, most: 1 << 40,
		help:  "rate at which one node sends replicas",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.SnapshotBytesPerSecond },
	}, {
		name: "balance_off", byDefault: "false", unit: boolean,
		help: "true: leaders and replicas stay where they are unless they must move",
		flag: func(s *pontoonpb.Settings) *bool { return &s.BalanceOff },
	}, {
		name: "merge_requests_per_second", byDefault: "10", unit: plain, least: 0.001, most: 1e6,
		help: "neighbours that serve fewer requests together count as cold",
		real: func(s *pontoonpb.Settings) *float64 { return &s.MergeRequestsPerSecond },
	}, {
		name: "merge_after_seconds", byDefault: "5m", unit: seconds, least: 1, most: 30 * day,
		help:  "a range is left alone for so long after it was made",
		whole: func(s *pontoonpb.Settings) *int64 { return &s.MergeAfterSeconds },
	},
}

const off = "off"

// set parses a value; the empty one is the default.
func (e *setting) set(s *pontoonpb.Settings, text string) error {
	if e.flag != nil {
		b, err := parseBool(text)
		if text != "" && err != nil {
			return e.wrong(text, "is neither true nor false")
		}
		*e.flag(s) = b
		return nil
	}
	v, err := 0.0, error(nil)
	switch {
	case text == "":
	case e.never && text == off:
		v = -1
	default:
		if v, err = e.unit.parse(text); err != nil {
			return e.wrong(text, err.Error())
		}
		if math.IsNaN(v) || v < e.least || v > e.most {
			return e.wrong(text, fmt.Sprintf("is not between %s and %s", e.unit.format(e.least), e.unit.format(e.most)))
		}
		if e.odd && int64(v)%2 == 0 {
			return e.wrong(text, "is even: it survives no more failures than one replica less")
		}
	}
	if e.whole != nil {
		*e.whole(s) = int64(v)
	} else {
		*e.real(s) = v
	}
	return nil
}

func (e *setting) wrong(text, why string) error {
	return &settingError{fmt.Sprintf("%s: %s %s (default %s)", e.name, quoted(text), why, e.byDefault)}
}

// value renders what is in force.
func (e *setting) value(s *pontoonpb.Settings) string {
	if e.flag != nil {
		return strconv.FormatBool(*e.flag(s))
	}
	v := 0.0
	if e.whole != nil {
		v = float64(*e.whole(s))
	} else {
		v = *e.real(s)
	}
	switch {
	case v == 0:
		return e.byDefault
	case v < 0:
		return off
	}
	return e.unit.format(v)
}

// Defaults of the two settings that are checked against each other.
const (
	defaultMaxBytes   = 256 << 20
	defaultMergeBytes = 64 << 20
)

// checkTogether refuses what would split and merge the same keys in turn.
func checkTogether(s *pontoonpb.Settings) error {
	most, merge := s.RangeMaxBytes, s.RangeMergeBytes
	if most == 0 {
		most = defaultMaxBytes
	}
	if merge == 0 {
		merge = defaultMergeBytes
	}
	if merge > most/2 {
		return &settingError{fmt.Sprintf("range_merge_bytes (%s) must be at most half of range_max_bytes (%s): what splits would merge again; both can be set at once",
			bytesUnit.format(float64(merge)), bytesUnit.format(float64(most)))}
	}
	return nil
}
