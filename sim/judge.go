package sim

import "github.com/pontoon-kv/pontoon/bench/verify"

// Judge checks everything that was seen. It takes real time.
func Judge(out *Outcome) verify.Verdict {
	v := verify.Check(out.Run, searchLimit)
	v.Violations = append(out.Broken, v.Violations...)
	return v
}
