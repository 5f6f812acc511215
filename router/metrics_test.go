package router_test

import (
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangecache"
)

// What a sender did again, and why, is counted.
func TestSenderCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		s := &script{
			desc:    rangeAt(7, 1, "a", "z"),
			answers: []error{proto.NotLeader(3), proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "test")},
		}
		sender := router.NewSender(rangecache.New(), s, s)
		sender.Register(reg)
		span := proto.Span{Start: []byte("b"), End: []byte("c")}
		for range 2 {
			op := &pontoonpb.RangeOp{Span: span.Wire(), Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}}
			if _, err := sender.Send(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]float64{}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			got[f.GetName()] = f.Metric[0].GetCounter().GetValue()
		}
		for name, want := range map[string]float64{"operations": 2, "redirects": 1, "retries": 1, "directory_lookups": 1, "spanning_writes": 0, "local_reads": 0} {
			if n, there := got["pontoon_router_"+name+"_total"]; !there || n != want {
				t.Errorf("%s is %v, want %v", name, n, want)
			}
		}
	})
}
