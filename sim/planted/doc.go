// Package planted holds bugs to plant into the product, one at a time, to see
// which check of the simulation catches it.
//
//	Bugs --one--> source with the bug --build overlay--> simulation --seeds--> caught, or missed
//	                                          \--> the test of its rule, where seeds seldom get
//
// Nothing in the tree changes: the bug is built from a copy of its file. A check
// that misses a bug is to be mended, or the bug shows that the simulation does not
// go there; docs/reliability.md says which.
//
// Invariants:
//
//	I1 Every bug fits the source as it is (TestFits): one that does not proves
//	   nothing.
package planted
