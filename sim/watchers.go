package sim

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/robust"
)

// watchers are the watches of a run: the whole span, through one gateway each and
// through all, and parts of it that share a stream.
type watchers struct {
	c *cluster
	t *robust.Traffic
}

func newWatchers(c *cluster, t *robust.Traffic) *watchers { return &watchers{c, t} }

func (w *watchers) start() error {
	for i, m := range w.c.members()[:2] {
		if err := w.open(fmt.Sprintf("whole@%s", m.name), i == 0, []string{m.clientAddr()}, robust.SpanKey, robust.SpanEnd); err != nil {
			return err
		}
	}
	if err := w.open("whole@any", true, w.c.gateways, robust.SpanKey, robust.SpanEnd); err != nil {
		return err
	}
	half := robust.KeyName(keys / 2)
	return w.open("half@any", false, w.c.gateways, robust.SpanKey, half, half, robust.SpanEnd)
}

// open begins watches over the given spans, on one stream.
func (w *watchers) open(name string, prevKV bool, endpoints []string, spans ...string) error {
	client, err := w.t.Open(endpoints...)
	if err != nil {
		return err
	}
	for i := 0; i < len(spans); i += 2 {
		w.t.Watch(robust.Watch{Name: fmt.Sprintf("%s[%d]", name, i/2), Client: client, Key: spans[i], End: spans[i+1], PrevKV: prevKV})
	}
	return nil
}
