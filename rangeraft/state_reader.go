package rangeraft

import (
	"bytes"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// stateReader is the applied state as the evaluator reads it: one engine view
// for all reads between two applies, closed at the end of the turn.
type stateReader struct {
	r *Replica
	v *storage.View
}

func (s *stateReader) view() (*storage.View, error) {
	if s.v == nil {
		v, err := s.r.s.opts.Engine.NewView()
		if err != nil {
			return nil, err
		}
		s.v = v
	}
	return s.v, nil
}

// close forgets the view: something was applied, or the turn is over.
func (s *stateReader) close() {
	if s.v != nil {
		if err := s.v.Close(); err != nil {
			s.r.s.fault("close a view", err)
		}
		s.v = nil
	}
}

// Get implements evaluator.Data.
func (s *stateReader) Get(key []byte) (*mvccpb.KeyValue, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	ver, ok, err := v.Get(key, storage.Latest)
	if err != nil || !ok {
		return nil, err
	}
	ver.Key = bytes.Clone(ver.Key)
	return ver.KeyValue(), nil
}

// Scan implements evaluator.Data.
func (s *stateReader) Scan(span proto.Span, rev proto.Revision, fn func(*mvccpb.KeyValue) bool) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	return scanView(v, span, rev, false, fn)
}

// Count implements evaluator.Data.
func (s *stateReader) Count(span proto.Span, rev proto.Revision) (int64, error) {
	v, err := s.view()
	if err != nil {
		return 0, err
	}
	return v.Count(span, orLatest(rev))
}

// LeaseKeys implements evaluator.Data.
func (s *stateReader) LeaseKeys(span proto.Span, lease proto.LeaseID, fn func(key []byte) bool) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	return v.LeaseKeys(span, lease, func(key []byte, _ proto.LeaseID) (bool, error) {
		return fn(bytes.Clone(key)), nil
	})
}

// Local implements evaluator.Records.
func (s *stateReader) Local(space pontoonpb.Space, key, suffix []byte) ([]byte, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	value, ok, err := v.GetLocal(space, key, suffix)
	if err != nil || !ok {
		return nil, err
	}
	return value, nil
}

// Locals implements evaluator.Records.
func (s *stateReader) Locals(space pontoonpb.Space, span proto.Span, fn func(key, suffix, value []byte) bool) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	return v.Local(space, span, func(rec storage.LocalRecord) (bool, error) {
		return fn(bytes.Clone(rec.Key), bytes.Clone(rec.Suffix), bytes.Clone(rec.Value)), nil
	})
}

// Floor implements evaluator.Records.
func (s *stateReader) Floor() proto.Revision { return s.r.state.Floor }

func orLatest(rev proto.Revision) proto.Revision {
	if rev == 0 {
		return storage.Latest
	}
	return rev
}

// scanView calls fn with key-values that stay valid.
func scanView(v *storage.View, span proto.Span, rev proto.Revision, keysOnly bool, fn func(*mvccpb.KeyValue) bool) error {
	return v.Scan(span, orLatest(rev), storage.ScanOptions{KeysOnly: keysOnly}, func(ver *storage.Version) (bool, error) {
		return fn(ownedKeyValue(ver)), nil
	})
}

// ownedKeyValue copies a version's bytes, key and value in one piece.
func ownedKeyValue(ver *storage.Version) *mvccpb.KeyValue {
	kv := ver.KeyValue()
	buf := make([]byte, 0, len(kv.Key)+len(kv.Value))
	buf = append(append(buf, kv.Key...), kv.Value...)
	n := len(kv.Key)
	if kv.Key = buf[:n:n]; kv.Value != nil {
		kv.Value = buf[n:]
	}
	return kv
}
