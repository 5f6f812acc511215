package offline

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pontoon-kv/pontoon/storage"
)

func hex(id uint64) string { return strconv.FormatUint(id, 16) }

// Verification is what checking a directory found.
type Verification struct {
	Owner
	Tables     int           `json:"tables"` // whose every block was read
	TableBytes int64         `json:"table_bytes"`
	Ranges     []RangeCensus `json:"ranges"`
	Damage     []string      `json:"damage"` // empty: the directory is whole
}

// RangeCensus counts what a replica holds.
type RangeCensus struct {
	ID         uint64 `json:"range_id"`
	LogEntries int64  `json:"log_entries"`
	Keys       int64  `json:"keys"`
	Versions   int64  `json:"versions"`
	Tombstones int64  `json:"tombstones"`
	Leases     int64  `json:"lease_entries"`
	Records    int64  `json:"records"`
	Checksum   string `json:"checksum"` // at the applied index; replicas at one index have the same
	Applied    uint64 `json:"applied"`
}

// Verify reads everything in the directory of a stopped node: the checksum of
// every block of every table, the order of keys, the ends of logs and MANIFEST,
// every range's log, state and data. What is damaged is listed; the error says
// that verifying itself could not go on.
func Verify(ctx context.Context, dataDir string, progress func(what string)) (*Verification, error) {
	if progress == nil {
		progress = func(string) {}
	}
	v := &Verification{Ranges: []RangeCensus{}, Damage: []string{}}
	e, d, err := open(dataDir, true)
	v.Owner = d.Owner
	if errors.Is(err, storage.ErrDamaged) {
		v.found(err) // so much that it cannot be opened
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	return v, errors.Join(v.all(ctx, e, progress), e.Close())
}

func (v *Verification) found(err error) { v.Damage = append(v.Damage, err.Error()) }

func (v *Verification) all(ctx context.Context, e *storage.Engine, progress func(string)) error {
	err := e.CheckTables(ctx, func(f storage.FileUse, err error) error {
		progress(f.Name)
		if v.Tables, v.TableBytes = v.Tables+1, v.TableBytes+f.Bytes; err != nil {
			v.found(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(v.Damage) == 0 {
		if err := e.CheckLevels(); err != nil {
			v.found(err)
		}
	}
	states, err := e.Ranges()
	if err != nil {
		return err
	}
	for i := range states {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress(fmt.Sprintf("range %d", states[i].ID()))
		v.rangeOf(e, &states[i])
		for j := range i {
			if states[i].Span().Overlaps(states[j].Span()) {
				v.found(fmt.Errorf("ranges %d and %d overlap", states[j].ID(), states[i].ID()))
			}
		}
	}
	return nil
}

// rangeOf checks one replica.
func (v *Verification) rangeOf(e *storage.Engine, st *storage.RangeState) {
	id := st.ID()
	c := RangeCensus{ID: uint64(id), Applied: uint64(st.Applied.Index)}
	entries, err := e.CheckLog(id)
	c.LogEntries = entries
	if err == nil {
		err = v.data(e, st, &c)
	}
	if err != nil {
		v.found(err)
	}
	if st.Descriptor.RangeId == 0 || st.Span().Empty() || len(st.Descriptor.Replicas) == 0 {
		v.found(fmt.Errorf("range %d: its descriptor has no id, span or replicas", id))
	}
	v.Ranges = append(v.Ranges, c)
}

func (v *Verification) data(e *storage.Engine, st *storage.RangeState, c *RangeCensus) error {
	view, err := e.NewView()
	if err != nil {
		return err
	}
	n, err := view.Census(st.Span())
	var sum storage.Checksum
	if err == nil {
		sum, err = view.Checksum(st.ID())
	}
	if err = errors.Join(err, view.Close()); err != nil {
		return fmt.Errorf("range %d: %w", st.ID(), err)
	}
	c.Keys, c.Versions, c.Tombstones, c.Leases, c.Records = n.Keys, n.Versions, n.Tombstones, n.LeaseEntries, n.Locals
	c.Checksum = hex(sum.Sum)
	if live := st.Applied.LiveKeys; live != storage.LiveKeysUnknown && live != n.Keys {
		return fmt.Errorf("range %d: it counts %d live keys and holds %d", st.ID(), live, n.Keys)
	}
	return nil
}
