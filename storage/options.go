package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Options of an engine. Only Dir is needed.
type Options struct {
	// Dir holds everything of the engine. It is created if missing.
	Dir string
	// FS is where Dir lies. Default: the operating system.
	FS *FS
	// CacheBytes is the size of the block cache. Default 64 MiB.
	CacheBytes int64
	// MemtableBytes is the size of one memtable; up to eight exist at a time.
	// Default 32 MiB.
	MemtableBytes uint64
	// LogCacheBytes bounds the recent raft log entries of all ranges that are
	// kept in memory. Default 32 MiB.
	LogCacheBytes int64
	// SnapshotTableBytes is the size at which a table of a received raft
	// snapshot ends. Default 32 MiB.
	SnapshotTableBytes uint64
	// ReadOnly opens an existing directory without writing to it.
	ReadOnly bool
	// Logger takes the engine's warnings and state changes. Default: discarded.
	Logger *slog.Logger
	// OnDamage is told of every damaged block that a read, a flush or a compaction
	// comes upon; who reads gets an error as well. It must not block and may be
	// called again for the same file. Default: nobody is told.
	OnDamage func(*DamageError)
	// Registerer takes the engine's metrics. Default: none.
	Registerer prometheus.Registerer
}

// WithDefaults returns the options with every unset field at its default.
func (o Options) WithDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 32 << 20
	}
	if o.LogCacheBytes == 0 {
		o.LogCacheBytes = 32 << 20
	}
	if o.SnapshotTableBytes == 0 {
		o.SnapshotTableBytes = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate returns an error that names the first field out of bounds.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("storage: Dir is empty")
	case o.CacheBytes < 0:
		return fmt.Errorf("storage: CacheBytes is %d", o.CacheBytes)
	case o.MemtableBytes != 0 && (o.MemtableBytes < 1<<16 || o.MemtableBytes > 1<<31):
		return fmt.Errorf("storage: MemtableBytes is %d, not within 64 KiB and 2 GiB", o.MemtableBytes)
	case o.LogCacheBytes < 0:
		return fmt.Errorf("storage: LogCacheBytes is %d", o.LogCacheBytes)
	}
	return nil
}

// separateBytes is the size from which on a value is written once, to a file of
// values, and not again by every compaction of its key (WiscKey, FAST 2016).
// Below it the second place to look into costs more than it saves.
const separateBytes = 1 << 10

// pebbleOptions tunes the engine for many small values, one disk and little
// memory.
func (o Options) pebbleOptions() *pebble.Options {
	po := &pebble.Options{
		Comparer:                comparer,
		FormatMajorVersion:      pebble.FormatValueSeparation,
		BlockPropertyCollectors: []func() pebble.BlockPropertyCollector{newRevisionCollector},
		// pebble takes the memtables' memory out of the cache: usually one is
		// filling and one is being flushed.
		CacheSize:                   o.CacheBytes + 2*int64(o.MemtableBytes),
		MemTableSize:                o.MemtableBytes,
		MemTableStopWritesThreshold: 8,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                4096,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 3 },
		ReadOnly:                    o.ReadOnly,
		ErrorIfNotExists:            o.ReadOnly,
		Logger:                      pebbleLogger{o.Logger},
	}
	if o.FS != nil {
		po.FS = o.FS.FS
	} else {
		po.FS = vfs.Default
	}
	po.Experimental.SpanPolicyFunc = spanPolicy
	po.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: separateBytes, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: time.Minute, TargetGarbageRatio: 0.3,
		}
	}
	po.FlushSplitBytes = 2 << 20
	po.TargetFileSizes[0] = 2 << 20
	for i := range po.Levels {
		l := &po.Levels[i]
		l.BlockSize = 16 << 10
		l.IndexBlockSize = 128 << 10
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.FilterType = pebble.TableFilter
		// zstd in the last level halves what text takes there, at four times the
		// CPU of a compaction.
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	return po
}

// usersData are the bounds of what users' data takes in the engine: everything
// addressed by internal key but most of what the meta span holds.
var usersData = func() (b struct{ lower, upper []byte }) {
	b.lower, _ = enginekey.Bounds(enginekey.Replicated[0], keys.LeaseSpan)
	_, b.upper = enginekey.Bounds(enginekey.Versions, keys.UserSpan)
	return b
}()

// spanPolicy keeps users' data in tables of its own, since a table ends where
// its policy does: so its size can be told from that of the raft logs. Before
// it a suffix is no version, none of several is the one mostly read, and a
// value's record soon goes, so that it is not worth a file of values.
func spanPolicy(start []byte) (pebble.SpanPolicy, []byte, error) {
	if enginekey.Compare(start, usersData.lower) < 0 {
		return pebble.SpanPolicy{
			DisableValueSeparationBySuffix: true, ValueStoragePolicy: pebble.ValueStorageLowReadLatency,
		}, usersData.lower, nil
	}
	return pebble.SpanPolicy{}, nil, nil
}
