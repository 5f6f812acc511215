package sim

import "github.com/pontoon-kv/pontoon/bench/verify"

// Judge checks everything that was seen. It takes real time.
func Judge(out *Outcome) verify.Verdict {
	v := verify.Check(out.Run, searchLimit)
	v.Violations = append(out.Broken, v.Violations...)
	v.Violations = append(v.Violations, judgeStale(out)...)
	return v
}

// judgeStale holds serializable answers against the log. They have no place in
// real time, so the other checks do not know them.
func judgeStale(out *Outcome) []verify.Violation {
	if len(out.Run.Streams) == 0 {
		return nil // it did not come to its end
	}
	log, _ := verify.BuildLog(out.Run.Base, out.Run.Key, out.Run.End, out.Run.Streams)
	found := verify.CheckReplay(log, out.Stale)
	for i := range found {
		found[i].Check = "stale"
	}
	return found
}
