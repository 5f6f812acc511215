package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Format is the version of everything this package writes. A directory of a
// higher one is refused.
const Format uint64 = 1

// Ident says whose directory it is.
type Ident struct {
	ClusterID uint64
	NodeID    proto.NodeID
}

// Engine is the one engine of a node. All methods are safe for concurrent use.
type Engine struct {
	db      *pebble.DB
	opts    Options
	po      *pebble.Options
	lock    *pebble.Lock
	log     *slog.Logger
	metrics *metrics

	staging atomic.Uint64 // numbers the directories of staged snapshots

	cacheBytes atomic.Int64 // of all logs together

	usage  usage
	defrag chan struct{} // one token: a Defragment runs

	replacing sync.Mutex // held while a range's data is replaced, and by a step of dropping

	mu   sync.Mutex
	logs map[proto.RangeID]*Log
}

// Open opens the directory, creating it unless ReadOnly. It returns ErrLocked,
// ErrDamaged or a *FormatError where that is the reason.
func Open(o Options) (*Engine, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	po := o.pebbleOptions()
	po.EnsureDefaults()
	m := newMetrics()
	e := &Engine{opts: o, po: po, log: o.Logger, metrics: m, logs: make(map[proto.RangeID]*Log), defrag: make(chan struct{}, 1)}
	po.EventListener = e.listener()
	po.FS = &valueFS{po.FS, e.tell}
	lock, err := lockDir(o.Dir, po)
	if err != nil {
		return nil, err
	}
	po.Lock = lock
	if !o.ReadOnly {
		err = e.room()
	}
	if err == nil {
		err = preflight(po.FS, o.Dir, o.ReadOnly)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db, err := pebble.Open(o.Dir, po)
	if err != nil {
		return nil, errors.Join(openError(o.Dir, err), lock.Close())
	}
	e.db, e.lock = db, lock
	for _, step := range []func() error{
		e.checkPresent, e.checkFormat, e.loadRanges, e.clearStaging, func() error { return m.register(o.Registerer, e) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, db.Close(), lock.Close())
		}
	}
	return e, nil
}

// lockDir takes the directory for this process.
func lockDir(dir string, po *pebble.Options) (*pebble.Lock, error) {
	if !po.ReadOnly {
		if err := makeDir(po.FS, dir); err != nil {
			return nil, openError(dir, err)
		}
	}
	lock, err := pebble.LockDirectory(dir, po.FS)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return nil, openError(dir, err) // the lock file cannot even be opened
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, dir, err)
	}
	return lock, nil
}

// Close releases the directory. Views must be closed before.
func (e *Engine) Close() error {
	e.metrics.unregister(e.opts.Registerer)
	err := e.db.Close()
	if err == nil && !e.opts.ReadOnly {
		// Without the record the next start looks as after a crash.
		if noted := writeCleanStop(e.po.FS, e.opts.Dir); noted != nil {
			e.log.Warn("clean stop not noted", "err", noted)
		}
	}
	return wrap("close", errors.Join(err, e.lock.Close()))
}

var (
	formatKey = enginekey.AppendStore(nil, "format")
	identKey  = enginekey.AppendStore(nil, "ident")
)

// checkFormat reads the format record, writing it into a new directory.
func (e *Engine) checkFormat() error {
	b, ok, err := e.get(formatKey)
	switch {
	case err != nil:
		return err
	case !ok && e.opts.ReadOnly:
		return damaged("format record", errors.New("missing"))
	case !ok:
		return wrap("write format", e.db.Set(formatKey, binary.AppendUvarint(nil, Format), pebble.Sync))
	}
	r := varints{b: b}
	have := r.uint()
	if err := r.done(); err != nil {
		return damaged("format record", err)
	}
	if have > Format {
		return &FormatError{Have: have, Want: Format}
	}
	return nil
}

// Ident returns whose directory it is; false if SetIdent was never called.
func (e *Engine) Ident() (Ident, bool, error) {
	b, ok, err := e.get(identKey)
	if err != nil || !ok {
		return Ident{}, false, err
	}
	if len(b) != 16 {
		return Ident{}, false, damaged("ident record", errShort)
	}
	return Ident{
		ClusterID: binary.BigEndian.Uint64(b),
		NodeID:    proto.NodeID(binary.BigEndian.Uint64(b[8:])),
	}, true, nil
}

// SetIdent claims the directory, durably. A directory that belongs to another
// is refused with an *IdentError.
func (e *Engine) SetIdent(id Ident) error {
	have, ok, err := e.Ident()
	if err != nil {
		return err
	}
	if ok {
		if have != id {
			return &IdentError{Have: have, Want: id}
		}
		return nil
	}
	b := binary.BigEndian.AppendUint64(nil, id.ClusterID)
	b = binary.BigEndian.AppendUint64(b, uint64(id.NodeID))
	return wrap("write ident", e.db.Set(identKey, b, pebble.Sync))
}

// get returns a copy of one engine record.
func (e *Engine) get(key []byte) ([]byte, bool, error) {
	b, closer, err := e.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap("get", err)
	}
	b = append([]byte{}, b...)
	return b, true, wrap("get", closer.Close())
}

// Log returns the raft log of a range; always the same value for one id. A
// range without a replica here has an empty log.
func (e *Engine) Log(id proto.RangeID) *Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, ok := e.logs[id]
	if !ok {
		l = newLog(e, id)
		e.logs[id] = l
	}
	return l
}

// Ranges returns every initialised replica of this node, by range id.
func (e *Engine) Ranges() ([]RangeState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rangesLocked()
}

// Sync makes everything committed so far durable.
func (e *Engine) Sync() error {
	return wrap("sync", e.db.LogData(nil, pebble.Sync))
}
