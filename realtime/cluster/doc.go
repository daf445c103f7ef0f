// Package cluster keeps a node's lease and watches those of the others: which nodes live, and which of
// the survivors takes over from one that is gone. What that means for students it leaves to Live.
//
// Nothing is locked while Live or the store is called.
package cluster
