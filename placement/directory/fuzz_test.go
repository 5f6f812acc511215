package directory

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// FuzzDescriptors reads what may be any entry of the directory.
func FuzzDescriptors(f *testing.F) {
	records, err := InitialRecords(Bootstrap([]proto.NodeID{1, 2, 3}))
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range records {
		f.Add(r.Value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := descriptors([]*pontoonpb.SysRecord{{Value: b}})
		if err != nil {
			return
		}
		if _, err := record(list[0]); err != nil {
			t.Fatal(err)
		}
	})
}
