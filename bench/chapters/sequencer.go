package chapters

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"

	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

const (
	askingNodes = 64
	// goalFolded is how many writes share a message in the figure of the goal. A
	// node has two messages in flight and folds all that comes meanwhile: 16 are
	// 32 writes in flight at each node.
	goalFolded = 16
)

// sequencerChapter has what one core of the sequencer hands out, in a process of
// its own.
func sequencerChapter(ctx context.Context, env suite.Env) (*result.Section, error) {
	messages := 1_000_000
	if env.Quick {
		messages = 200_000
	}
	s := &result.Section{Title: "The sequencer alone", Figures: map[string]float64{}, Notes: []string{fmt.Sprintf(
		"%d nodes that always ask, two messages in flight each, and the sequencer share one core; messages are encoded and decoded on both sides. "+
			"Under load a node folds the writes that came meanwhile into one message, so a figure per writes folded; the goal's is at %d.", askingNodes, goalFolded)}}
	table := result.Table{Columns: []string{"writes folded", "messages/s", "revisions/s"}}
	for _, folded := range []int{1, 4, goalFolded, 64} {
		r, err := askSequencer(ctx, env.Pontoon.Binary, folded, messages)
		if err != nil {
			return s, err
		}
		table.Rows = append(table.Rows, []string{strconv.Itoa(folded), num(r.Messages / r.Seconds), num(r.Revisions / r.Seconds)})
		if folded == goalFolded {
			s.Figures[goals.SequencerPerCore] = r.Revisions / r.Seconds
		}
	}
	s.Tables = []result.Table{table}
	return s, nil
}

type handedOut struct {
	Messages  float64 `json:"messages"`
	Revisions float64 `json:"revisions"`
	Seconds   float64 `json:"seconds"`
}

func askSequencer(ctx context.Context, binary string, folded, messages int) (r handedOut, err error) {
	cmd := exec.CommandContext(ctx, binary, "sequencer-alone", "--nodes="+strconv.Itoa(askingNodes),
		"--folded="+strconv.Itoa(folded), "--messages="+strconv.Itoa(messages))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("sequencer, %d folded: %w: %s", folded, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("sequencer, %d folded: %w", folded, err)
	}
	if r.Revisions < 1 || r.Seconds <= 0 {
		return r, fmt.Errorf("sequencer, %d folded: nothing was handed out", folded)
	}
	return r, nil
}
