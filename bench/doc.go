// Package bench is the entry to Pontoon's harness: load, fault runs and
// comparisons, as commands that a command line can mount.
//
//	cmd/pontoon --> bench.Commands() --> load      kubeload    any running cluster
//	                                     robust    robust      starts processes, kills them
//	                                     run       suite       starts Pontoon and etcd
//	                                     check     result      compares two runs
//	                                     render    report      writes a report again
//	                                     compare   suite       puts and gets only
//	                                     progress  freshness   starts Pontoon and etcd
//	                                     gaps      gaps        starts processes, kills them
//	                                     limits    limits      echo server, engine alone, syncs
//	                                     scaleout  scaleout    starts Pontoon and etcd, capped
//	                                     overload  overload    starts Pontoon and etcd, capped
//	                                     greedy    greedy      starts Pontoon, capped
//	                                     restart   restart     starts Pontoon and etcd, kills them
//	                                        |
//	                      cluster (processes), cut (links), disk (power, room), cgroup (caps),
//	                      steer (admin), dial (official clients), proc (CPU, memory),
//	                      stat (latencies), verify (judges histories)
//
//	run --> suite --> workload (what clients do), measure (what servers used)
//	          |   --> chapters (limits, sequencer, scaleout, restart in the report)
//	          |
//	          +--> result (values, JSON) --> report (Markdown), svg, goals
//
// Everything here is a black box test: it speaks to endpoints and starts
// processes, and imports nothing of the product but the wire types of its Admin
// service (steer). Each Command has a standard
// flag.FlagSet and a Run that prints text or JSON and returns an error if the
// run failed or a promise was broken.
//
// Mounting one in cobra:
//
//	for _, c := range bench.Commands() {
//		sub := &cobra.Command{Use: c.Name, Short: c.Short, Long: c.Long, Args: cobra.NoArgs,
//			RunE: func(cmd *cobra.Command, _ []string) error {
//				return c.Run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
//			}}
//		sub.Flags().AddGoFlagSet(c.Flags)
//		parent.AddCommand(sub)
//	}
package bench
