package result

// Metric names a figure of a sample.
type Metric string

// The metrics there are.
const (
	Throughput Metric = "throughput"
	Mean       Metric = "mean_ms"
	P50        Metric = "p50_ms"
	P90        Metric = "p90_ms"
	P99        Metric = "p99_ms"
	P999       Metric = "p999_ms"
	Max        Metric = "max_ms"
	CPU        Metric = "cpu_us_per_op"
	Allocated  Metric = "alloc_bytes_per_op"
	Syncs      Metric = "syncs_per_op"
	WriteAmp   Metric = "write_amplification"
	Resident   Metric = "rss_bytes"
	Disk       Metric = "disk_bytes"
	Servers    Metric = "cpu_share_servers"
	Client     Metric = "cpu_share_client"
	Others     Metric = "cpu_share_others"
)

// Definition says what a metric is.
type Definition struct {
	Metric Metric
	Title  string
	Unit   string
	// HigherIsBetter: else lower is.
	HigherIsBetter bool
	Help           string
}

// Definitions of all metrics, in the order of a report.
var Definitions = []Definition{
	{Throughput, "throughput", "/s", true, "operations that ended in the window, per second of it"},
	{Mean, "mean", "ms", false, "mean latency"},
	{P50, "p50", "ms", false, "latency that half of the operations did not exceed"},
	{P90, "p90", "ms", false, "of nine in ten"},
	{P99, "p99", "ms", false, "of 99 in 100"},
	{P999, "p99.9", "ms", false, "of 999 in 1000"},
	{Max, "max", "ms", false, "the slowest"},
	{CPU, "CPU", "us/op", false, "user and system time of all server processes per operation"},
	{Allocated, "allocated", "B/op", false, "bytes that all servers allocated per operation, by their own count"},
	{Syncs, "syncs", "/op", false, "fsync calls of all servers per operation, by their own count: logs, and commits of etcd's backend"},
	{WriteAmp, "write amp", "x", false, "bytes that all servers sent to storage in the window per byte of keys and values written; later compactions are not in it"},
	{Resident, "RSS", "B", false, "memory of all servers at the end of the window"},
	{Disk, "disk", "B", false, "length of all files of all servers at the end of the window; etcd allocates its logs ahead"},
	{Servers, "servers' share", "", false, "share of all cores that the servers used"},
	{Client, "client's share", "", false, "share of all cores that the load generator used"},
	{Others, "others' share", "", false, "share of all cores that other processes used: above a tenth the sample is disturbed"},
}

// Define returns the definition of a metric.
func Define(m Metric) Definition {
	for _, d := range Definitions {
		if d.Metric == m {
			return d
		}
	}
	return Definition{Metric: m, Title: string(m)}
}
