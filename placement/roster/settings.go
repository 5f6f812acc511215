package roster

import (
	"bytes"
	"context"
	"fmt"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Settings returns the settings as they were set: zero is the default, see
// WithDefaults.
func (r *Roster) Settings(ctx context.Context) (*pontoonpb.Settings, error) {
	s, _, err := r.settings(ctx)
	return s, err
}

// Change sets the named settings, all or none, and returns what they are then,
// without defaults. An empty value goes back to the default. What does not
// parse or contradicts another setting is refused with a *SettingError.
func (r *Roster) Change(ctx context.Context, set []*pontoonpb.Setting) (*pontoonpb.Settings, error) {
	for {
		have, before, err := r.settings(ctx)
		if err != nil {
			return nil, err
		}
		next := clone(have)
		if err := apply(next, set); err != nil {
			return nil, err
		}
		if gproto.Equal(next, have) {
			return have, nil
		}
		value, err := next.MarshalVT()
		if err != nil {
			return nil, fmt.Errorf("roster: settings: %w", err)
		}
		if len(value) == 0 {
			// All defaults. A record needs a value to be told from an absent one.
			value = append(value, emptySettings...)
		}
		if bytes.Equal(value, before) {
			return next, nil
		}
		if err = r.replace(ctx, keys.Settings, before, value); err == nil {
			return next, nil
		}
		if !again(ctx, err) {
			return nil, err
		}
	}
}

// emptySettings is an encoding of the zero Settings that is not empty: field 1
// with its default.
var emptySettings = []byte{1 << 3, 0}

func (r *Roster) settings(ctx context.Context) (*pontoonpb.Settings, []byte, error) {
	s := &pontoonpb.Settings{}
	value, err := r.get(ctx, keys.Settings)
	if err != nil {
		return nil, nil, err
	}
	if err := s.UnmarshalVT(value); err != nil {
		return nil, nil, fmt.Errorf("roster: settings: %w", err)
	}
	return s, value, nil
}

// Describe returns every setting with what is in force, its default and a
// help text.
func (r *Roster) Describe(ctx context.Context) ([]*pontoonpb.Setting, error) {
	s, err := r.Settings(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := r.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return Texts(s, Holders(nodes)), nil
}

// Holders counts the nodes that should hold replicas: neither draining nor
// removed nor learner members.
func Holders(nodes []*pontoonpb.NodeRecord) int {
	n := 0
	for _, r := range nodes {
		if r.State == pontoonpb.NodeState_NODE_ACTIVE && !r.Learner {
			n++
		}
	}
	return n
}

// Defaults.
const (
	defaultFactor        = 3
	largeRootFactor      = 5 // from that many nodes on
	defaultDeadAfter     = 300
	defaultMaxBytes      = 256 << 20
	defaultMergeBytes    = 64 << 20
	mergeShare           = 4 // the default of merge bytes is at most this part of the maximum
	defaultSplitBusy     = 0.5
	defaultMovesPerNode  = 2
	defaultSnapshotBytes = 64 << 20
	defaultMergeRequests = 10
	defaultMergeAfter    = 300
)

// WithDefaults returns the settings that are in force in a cluster with so many
// nodes that may hold replicas: nothing is zero any more but balance_off.
func WithDefaults(s *pontoonpb.Settings, holders int) *pontoonpb.Settings {
	d := &pontoonpb.Settings{}
	if s != nil {
		d = clone(s)
	}
	orDefault(&d.ReplicationFactor, defaultFactor)
	if holders >= largeRootFactor {
		orDefault(&d.RootReplicationFactor, largeRootFactor)
	}
	orDefault(&d.RootReplicationFactor, defaultFactor)
	orDefault(&d.DeadAfterSeconds, defaultDeadAfter)
	orDefault(&d.RangeMaxBytes, defaultMaxBytes)
	orDefault(&d.RangeMergeBytes, min(defaultMergeBytes, d.RangeMaxBytes/mergeShare))
	orDefault(&d.SplitBusy, defaultSplitBusy)
	orDefault(&d.MovesPerNode, defaultMovesPerNode)
	orDefault(&d.SnapshotBytesPerSecond, defaultSnapshotBytes)
	orDefault(&d.MergeRequestsPerSecond, defaultMergeRequests)
	orDefault(&d.MergeAfterSeconds, defaultMergeAfter)
	return d
}

func orDefault[T int64 | float64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// SettingError refuses a setting.
type SettingError struct {
	Name   string
	Value  string
	Reason string
}

// Error implements error.
func (e *SettingError) Error() string {
	return fmt.Sprintf("setting %s: %q %s", e.Name, e.Value, e.Reason)
}
