package tour

import (
	"regexp"
	"slices"
	"strings"
)

// step is one command of the transcript with what it printed.
type step struct {
	line    int // of the command, from 1
	command string
	output  string
}

// parse returns the steps of a transcript and the text between them: text[i] stands
// before step i, with the step's command; the last text follows all steps.
func parse(doc string) (steps []step, text []string) {
	var prose, out strings.Builder
	inBlock, open := false, false
	flush := func() {
		if open {
			steps[len(steps)-1].output = out.String()
			out.Reset()
		}
		open = false
	}
	lines := strings.SplitAfter(doc, "\n")
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		switch {
		case strings.HasPrefix(l, "```"):
			flush()
			inBlock = !inBlock && strings.HasPrefix(l, "```console")
			prose.WriteString(l)
		case inBlock && strings.HasPrefix(l, "$ "):
			flush()
			s := step{line: i + 1, command: l[2:]}
			prose.WriteString(l)
			for strings.HasSuffix(lines[i], "\\\n") {
				i++
				s.command += lines[i]
				prose.WriteString(lines[i])
			}
			steps, text, open = append(steps, s), append(text, prose.String()), true
			prose.Reset()
		case open:
			out.WriteString(l)
		default:
			prose.WriteString(l)
		}
	}
	return steps, append(text, prose.String())
}

// format is the opposite of parse.
func format(steps []step, text []string) string {
	var b strings.Builder
	for i, s := range steps {
		b.WriteString(text[i])
		b.WriteString(s.output)
	}
	b.WriteString(text[len(steps)])
	return b.String()
}

var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`"ts":"[^"]*"|\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|[+-]\d\d:?\d\d)?`), "TIME"},
	{regexp.MustCompile(`0x[0-9a-f]+`), "ADDRESS"},
	{regexp.MustCompile(`Peer\{[^}]*\}`), "PEER"},
	{regexp.MustCompile(`("RaftTerm" : |"raft_term":"?)[0-9]+`), "${1}TERM"},
	{regexp.MustCompile(`\b[0-9a-f]{7,16}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9]{6,}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9.]+ ?([kKMGT]i?B|B)\b`), "SIZE"},
	{regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?(µs|ms|s)\b`), "SPAN"},
	{regexp.MustCompile(`remaining\([^)]*\)`), "remaining(SPAN)"},
	{regexp.MustCompile(`"TTL":"[0-9]+"`), `"TTL":SPAN`},
	{regexp.MustCompile(`([,:])[ \x{a0}](["{\[])`), "$1$2"}, // of protobuf's JSON, different in every build
	{regexp.MustCompile(`\b[0-9]+ writes/s`), "RATE"},
}

var (
	tableNumber = regexp.MustCompile(`\b([0-9]+(\.[0-9]+)?%?|true|false)\b`)
	tableNode   = regexp.MustCompile(`\bn[1-3]\b`)
	padding     = regexp.MustCompile(`[ ─]{2,}`)
)

// latency are the lines of `check perf` about single requests, and what follows from them.
var latency = regexp.MustCompile(`(?m)^((PASS: )?(Slowest|Stddev) .*|PASS|FAIL|\(exit 1\))\n`)

// normalise replaces what differs from run to run.
func normalise(command, out string) string {
	if strings.Contains(command, "check perf") {
		out = latency.ReplaceAllString(out, "")
	}
	var b strings.Builder
	for l := range strings.Lines(out) {
		for _, v := range volatile {
			l = v.pattern.ReplaceAllString(l, v.with)
		}
		figures := strings.HasPrefix(l, "│") || strings.HasPrefix(command, "pontoon range list") ||
			strings.HasPrefix(command, "pontoon node list")
		if figures {
			l = tableNumber.ReplaceAllString(l, "N")
			l = strings.ReplaceAll(l, " -", " N") // not measured yet
			l = tableNode.ReplaceAllString(l, "NODE")
		}
		b.WriteString(padding.ReplaceAllString(strings.TrimRight(l, " \n"), " ") + "\n")
	}
	if strings.HasPrefix(command, "etcdctl endpoint health") { // in the order of the answers
		lines := strings.SplitAfter(b.String(), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	return b.String()
}
