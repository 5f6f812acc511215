package roster

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// setting is one named field of Settings.
type setting struct {
	name string
	help string
	// parse sets the field from text that is not empty; the error is the reason
	// for a person.
	parse func(*pontoonpb.Settings, string) error
	// text formats the field, which is not zero.
	text  func(*pontoonpb.Settings) string
	clear func(*pontoonpb.Settings)
	// standard replaces the text of the default where it is not one value.
	standard string
}

const (
	minDeadAfter     = 2
	maxSeconds       = 30 * 24 * 3600
	minRangeBytes    = 64 << 10
	maxRangeBytes    = 64 << 30
	minSplitBusy     = 0.05
	maxMovesPerNode  = 64
	minSnapshotBytes = 64 << 10
	maxSnapshotBytes = 64 << 30
	maxRequests      = 1e9
)

var settings = []setting{
	factorSetting("replication_factor", "replicas of every range but the root range; odd",
		func(s *pontoonpb.Settings) *int64 { return &s.ReplicationFactor }, ""),
	factorSetting("root_replication_factor", "replicas of the root range; odd",
		func(s *pontoonpb.Settings) *int64 { return &s.RootReplicationFactor }, "3, from five nodes on 5"),
	secondsSetting("dead_after_seconds", "a node that does not answer for so long is dead: its replicas are rebuilt elsewhere",
		func(s *pontoonpb.Settings) *int64 { return &s.DeadAfterSeconds }, minDeadAfter),
	bytesSetting("range_max_bytes", "a larger range is split", "",
		func(s *pontoonpb.Settings) *int64 { return &s.RangeMaxBytes }, minRangeBytes, maxRangeBytes, false),
	bytesSetting("range_merge_bytes", "neighbours that are smaller together are merged, if they are idle; off: never", "",
		func(s *pontoonpb.Settings) *int64 { return &s.RangeMergeBytes }, 1, maxRangeBytes, true),
	numberSetting("split_busy", "a range is split that keeps its leader's worker busy for a larger share of the time; off: never",
		func(s *pontoonpb.Settings) *float64 { return &s.SplitBusy }, minSplitBusy, 1, true),
	countSetting("moves_per_node", "replica moves at one node at a time",
		func(s *pontoonpb.Settings) *int64 { return &s.MovesPerNode }, 1, maxMovesPerNode),
	bytesSetting("snapshot_bytes_per_second", "how fast a node sends the data of replicas that move", "/s",
		func(s *pontoonpb.Settings) *int64 { return &s.SnapshotBytesPerSecond }, minSnapshotBytes, maxSnapshotBytes, false),
	boolSetting("balance_off", "true: leaders and replicas stay where they are, except for repair and drains",
		func(s *pontoonpb.Settings) *bool { return &s.BalanceOff }),
	numberSetting("merge_requests_per_second", "only neighbours that serve less together are merged",
		func(s *pontoonpb.Settings) *float64 { return &s.MergeRequestsPerSecond }, 0, maxRequests, false),
	secondsSetting("merge_after_seconds", "a range that changed since is not merged",
		func(s *pontoonpb.Settings) *int64 { return &s.MergeAfterSeconds }, 1),
}

// Texts returns every setting with what is in force in a cluster with so many
// nodes that may hold replicas.
func Texts(s *pontoonpb.Settings, holders int) []*pontoonpb.Setting {
	now, defaults := WithDefaults(s, holders), WithDefaults(&pontoonpb.Settings{RangeMaxBytes: s.GetRangeMaxBytes()}, holders)
	defaults.RangeMaxBytes = defaultMaxBytes
	list := make([]*pontoonpb.Setting, 0, len(settings))
	for _, d := range settings {
		text := &pontoonpb.Setting{Name: d.name, Value: d.text(now), DefaultValue: d.text(defaults), Help: d.help}
		if d.standard != "" {
			text.DefaultValue = d.standard
		}
		list = append(list, text)
	}
	return list
}

// apply sets the named settings in s and checks that all fit together (I3).
func apply(s *pontoonpb.Settings, set []*pontoonpb.Setting) error {
	for _, one := range set {
		d := find(one.Name)
		if d == nil {
			return &SettingError{one.Name, one.Value, "cannot be set: there is no such setting, there are " + names()}
		}
		if value := strings.TrimSpace(one.Value); value == "" {
			d.clear(s)
		} else if err := d.parse(s, value); err != nil {
			return &SettingError{one.Name, one.Value, err.Error()}
		}
	}
	return consistent(s)
}

// consistent refuses settings under which a merged range would be split again.
func consistent(s *pontoonpb.Settings) error {
	d := WithDefaults(s, 0)
	if d.RangeMergeBytes > d.RangeMaxBytes/2 {
		return &SettingError{"range_merge_bytes", formatBytes(d.RangeMergeBytes), fmt.Sprintf(
			"is more than half of range_max_bytes (%s): merged ranges would be split again", formatBytes(d.RangeMaxBytes))}
	}
	return nil
}

func find(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

func names() string {
	var b strings.Builder
	for i, d := range settings {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.name)
	}
	return b.String()
}

// off is the value of a setting that is switched off, and its text.
const (
	off     = -1
	offText = "off"
)

func countSetting(name, help string, at func(*pontoonpb.Settings) *int64, low, high int64) setting {
	return setting{
		name: name, help: help,
		parse: func(s *pontoonpb.Settings, text string) error {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < low || n > high {
				return fmt.Errorf("is not a number from %d to %d", low, high)
			}
			*at(s) = n
			return nil
		},
		text:  func(s *pontoonpb.Settings) string { return strconv.FormatInt(*at(s), 10) },
		clear: func(s *pontoonpb.Settings) { *at(s) = 0 },
	}
}

// factorSetting takes odd numbers only: an even number of replicas survives no
// more failures than one less, and needs a larger quorum.
func factorSetting(name, help string, at func(*pontoonpb.Settings) *int64, standard string) setting {
	const most = 7
	d := countSetting(name, help, at, 1, most)
	count := d.parse
	d.parse = func(s *pontoonpb.Settings, text string) error {
		before := *at(s)
		if err := count(s, text); err != nil {
			return fmt.Errorf("is not 1, 3, 5 or %d", most)
		}
		if n := *at(s); n%2 == 0 {
			*at(s) = before
			return fmt.Errorf("is even: %d replicas survive no more failures than %d", n, n-1)
		}
		return nil
	}
	d.standard = standard
	return d
}

func secondsSetting(name, help string, at func(*pontoonpb.Settings) *int64, low int64) setting {
	d := countSetting(name, help, at, low, maxSeconds)
	d.parse = func(s *pontoonpb.Settings, text string) error {
		n, ok := parseSeconds(text)
		if !ok || n < low || n > maxSeconds {
			return fmt.Errorf("is not a time in whole seconds like 30s, 5m or 1h, from %s to %s",
				formatSeconds(low), formatSeconds(maxSeconds))
		}
		*at(s) = n
		return nil
	}
	d.text = func(s *pontoonpb.Settings) string { return formatSeconds(*at(s)) }
	return d
}

func bytesSetting(
	name, help, per string, at func(*pontoonpb.Settings) *int64, low, high int64, canBeOff bool,
) setting {
	d := countSetting(name, help, at, low, high)
	d.parse = func(s *pontoonpb.Settings, text string) error {
		if canBeOff && text == offText {
			*at(s) = off
			return nil
		}
		n, ok := parseBytes(strings.TrimSuffix(text, per))
		if !ok || n < low || n > high {
			return fmt.Errorf("is not a size like 512KiB, 64MiB or 1GiB, from %s to %s%s",
				formatBytes(low), formatBytes(high), orOff(canBeOff))
		}
		*at(s) = n
		return nil
	}
	d.text = func(s *pontoonpb.Settings) string {
		if *at(s) < 0 {
			return offText
		}
		return formatBytes(*at(s)) + per
	}
	return d
}

func numberSetting(
	name, help string, at func(*pontoonpb.Settings) *float64, low, high float64, canBeOff bool,
) setting {
	return setting{
		name: name, help: help,
		parse: func(s *pontoonpb.Settings, text string) error {
			if canBeOff && text == offText {
				*at(s) = off
				return nil
			}
			// Not zero, which is the default; nor NaN.
			n, err := strconv.ParseFloat(text, 64)
			if err != nil || !(n >= low && n > 0 && n <= high) {
				return fmt.Errorf("is not a number above %v up to %v%s", low, high, orOff(canBeOff))
			}
			*at(s) = n
			return nil
		},
		text: func(s *pontoonpb.Settings) string {
			if *at(s) < 0 {
				return offText
			}
			return strconv.FormatFloat(*at(s), 'g', -1, 64)
		},
		clear: func(s *pontoonpb.Settings) { *at(s) = 0 },
	}
}

func orOff(can bool) string {
	if can {
		return ", or off"
	}
	return ""
}

func boolSetting(name, help string, at func(*pontoonpb.Settings) *bool) setting {
	return setting{
		name: name, help: help,
		parse: func(s *pontoonpb.Settings, text string) error {
			v, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("is neither true nor false")
			}
			*at(s) = v
			return nil
		},
		text:  func(s *pontoonpb.Settings) string { return strconv.FormatBool(*at(s)) },
		clear: func(s *pontoonpb.Settings) { *at(s) = false },
	}
}
