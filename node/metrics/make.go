package metrics

import "github.com/prometheus/client_golang/prometheus"

// help is what the table says of a family.
func help(name string) string {
	for _, r := range Table() {
		if r.Name == name {
			return r.Help
		}
	}
	panic("metrics: " + name + " is not in the table")
}

func counter(name string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help(name)})
}

func counters(name string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help(name)}, labels)
}

func histogram(name string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help(name), Buckets: buckets})
}

func histograms(name string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help(name), Buckets: buckets}, labels)
}
