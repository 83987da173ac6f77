ALTER TABLE `risk_decisions` ADD `requested_by` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `risk_decisions` ADD `session_digest` blob;--> statement-breakpoint
ALTER TABLE `risk_decisions` ADD `stated` text;--> statement-breakpoint
ALTER TABLE `approvals` ADD `use_time` integer;