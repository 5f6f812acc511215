package faultfs

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage"
)

// An engine works through a gate, which sees its syncs, and what was synced is
// there after a crash.
func TestGate(t *testing.T) {
	var syncs atomic.Int64
	disk := storage.NewCrashableMemFS()
	e, err := storage.Open(storage.Options{Dir: "data", FS: Wrap(disk, func(op Op, _ string) error {
		if op == Sync {
			syncs.Add(1)
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	want := storage.Ident{ClusterID: 7, NodeID: proto.NodeID(3)}
	before := syncs.Load()
	if err := e.SetIdent(want); err != nil {
		t.Fatal(err)
	}
	if syncs.Load() == before {
		t.Error("the gate saw no sync")
	}
	clone := disk.CrashClone(0, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err = storage.Open(storage.Options{Dir: "data", FS: clone})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if have, ok, err := e.Ident(); have != want || !ok || err != nil {
		t.Fatal(have, ok, err)
	}
}

func TestRefusal(t *testing.T) {
	full := errors.New("no space left on device")
	_, err := storage.Open(storage.Options{Dir: "data", FS: Wrap(storage.NewMemFS(), func(op Op, _ string) error {
		if op == Write {
			return full
		}
		return nil
	})})
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
}
