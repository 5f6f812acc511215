package verify

import "time"

// Revision is etcd's global MVCC number.
type Revision int64

// KV is one version of a key as clients see it.
//
// Inside the model a negative Mod (or Create) means "not known, but above its
// absolute value": the write was ambiguous and nobody has seen its number yet.
type KV struct {
	Key     string   `json:"key"`
	Value   string   `json:"value,omitempty"`
	Create  Revision `json:"create,omitempty"`
	Mod     Revision `json:"mod,omitempty"`
	Version int64    `json:"version,omitempty"`
	Lease   int64    `json:"lease,omitempty"`
}

// OpKind says what one operation of a request does.
type OpKind string

// The operations of a request.
const (
	OpGet    OpKind = "get"
	OpPut    OpKind = "put"
	OpDelete OpKind = "delete"
)

// Op is one operation of a request. End follows etcd: "" is the single key,
// "\x00" is everything from Key on.
type Op struct {
	Kind  OpKind   `json:"kind"`
	Key   string   `json:"key"`
	End   string   `json:"end,omitempty"`
	Value string   `json:"value,omitempty"`
	Lease int64    `json:"lease,omitempty"`
	At    Revision `json:"at,omitempty"`    // gets only: read at this past revision
	Limit int64    `json:"limit,omitempty"` // gets only
}

// Target is the field that a compare looks at.
type Target string

// The fields that a compare may look at.
const (
	TargetMod     Target = "mod"
	TargetCreate  Target = "create"
	TargetVersion Target = "version"
	TargetValue   Target = "value"
)

// Compare is one condition of a txn. Result is one of = ! < >.
type Compare struct {
	Key    string `json:"key"`
	Target Target `json:"target"`
	Result string `json:"result"`
	Number int64  `json:"number,omitempty"`
	Value  string `json:"value,omitempty"`
}

// Request is any KV request; a plain get, put or delete is a txn without
// conditions and with one operation.
type Request struct {
	If   []Compare `json:"if,omitempty"`
	Then []Op      `json:"then,omitempty"`
	Else []Op      `json:"else,omitempty"`
}

// Result answers one Op.
type Result struct {
	KVs     []KV  `json:"kvs,omitempty"`
	Count   int64 `json:"count,omitempty"`
	Deleted int64 `json:"deleted,omitempty"`
}

// Response answers a Request. Rev is the header's revision.
type Response struct {
	Rev       Revision `json:"rev"`
	Succeeded bool     `json:"succeeded"`
	Results   []Result `json:"results,omitempty"`
}

// Outcome says how much is known of an operation.
type Outcome string

const (
	// Done: answered; Response holds everything.
	Done Outcome = "done"
	// Unknown: it may have happened, now or later, or never.
	Unknown Outcome = "unknown"
	// Settled: not answered, but a watch saw its effect: Response.Rev and
	// Succeeded are known, Results are not.
	Settled Outcome = "settled"
)

// Operation is one request of one client. Call and Return count from the start
// of the run on a monotonic clock. Requests that surely did nothing (refused)
// and reads without an answer are not part of a history.
type Operation struct {
	Client   int           `json:"client"`
	Call     time.Duration `json:"call"`
	Return   time.Duration `json:"return"`
	Request  Request       `json:"request"`
	Outcome  Outcome       `json:"outcome"`
	Response Response      `json:"response"`
	Error    string        `json:"error,omitempty"`
}

// branch returns the operations of the branch that ran.
func (o *Operation) branch() []Op {
	if o.Response.Succeeded {
		return o.Request.Then
	}
	return o.Request.Else
}

// Event is one change as a watch delivers it.
type Event struct {
	Delete bool `json:"delete,omitempty"`
	KV     KV   `json:"kv"`
	Prev   *KV  `json:"prev,omitempty"`
}

// WatchResponse is one message of a watch. A message without events is a
// progress notification.
type WatchResponse struct {
	At     time.Duration `json:"at"`
	Header Revision      `json:"header"`
	Events []Event       `json:"events,omitempty"`
}

// Stream is everything that one watch delivered, over all its reconnections.
type Stream struct {
	Name      string          `json:"name"`
	Key       string          `json:"key"`
	End       string          `json:"end"`
	Start     Revision        `json:"start"` // first revision asked for
	PrevKV    bool            `json:"prev_kv"`
	Responses []WatchResponse `json:"responses"`
}

// Base is the complete content of the watched span when the history starts:
// nothing else had been written at or below Rev.
type Base struct {
	Rev Revision `json:"rev"`
	KVs []KV     `json:"kvs,omitempty"`
}

// Covers says whether the span [key, end) contains k, by etcd's rules.
func Covers(key, end, k string) bool {
	switch end {
	case "":
		return k == key
	case "\x00":
		return k >= key
	default:
		return k >= key && k < end
	}
}
