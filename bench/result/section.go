package result

// Section is a measurement of its own shape: scale-out, restarts, physical
// limits. The report prints it as it is.
type Section struct {
	Name    string   `json:"name"` // one word, unique; names files
	Title   string   `json:"title"`
	Notes   []string `json:"notes,omitempty"` // paragraphs of markdown before the tables
	Tables  []Table  `json:"tables,omitempty"`
	Plots   []Plot   `json:"plots,omitempty"`
	Failure string   `json:"failure,omitempty"`
	// Figures are what goals ask for, by name (package goals has the names).
	Figures map[string]float64 `json:"figures,omitempty"`
	// Data is whatever else there is for later eyes.
	Data any `json:"data,omitempty"`
}

// Table is rows of cells. Cells after the first column are set flush right.
type Table struct {
	Title   string     `json:"title,omitempty"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Plot is lines over one axis.
type Plot struct {
	Name   string   `json:"name"` // of the file, without ending; unique in the section
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x,omitempty"`
	LogY   bool     `json:"log_y,omitempty"`
	Series []Series `json:"series"`
}

// Series is one line of a plot.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
	// Reference lines are dashed: physical limits, what would be linear.
	Reference bool `json:"reference,omitempty"`
}

// Point is one point of a series.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Figure finds a figure of any section.
func (r *Run) Figure(name string) (float64, bool) {
	for _, s := range r.Sections {
		if v, found := s.Figures[name]; found {
			return v, true
		}
	}
	return 0, false
}
