// Package proto holds the words that every other package shares: typed ids,
// spans of internal keys, typed errors of range operations, and (in
// pontoonpb) the wire types between nodes.
//
// It imports nothing of Pontoon's, so that a type defined here can cross every
// boundary without dragging a layer along.
package proto
