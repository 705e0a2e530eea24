# An autoscaling group of agents that drain before they go. The image (AMI) has buildfleet, runc and the units of deploy/systemd.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "image_id" {
  description = "AMI with buildfleet, deploy/systemd and deploy/aws/buildfleet-drain-on-notice."
  type        = string
}

variable "nats_url" {
  description = "NATS of the fleet, e.g. nats://nats.example.com:4222."
  type        = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "security_group_ids" {
  description = "Must let agents reach each other at port 7001, the coordinators' agent link and NATS."
  type        = list(string)
}

variable "instance_profile" {
  description = "Its role needs autoscaling:CompleteLifecycleAction."
  type        = string
}

variable "instance_type" {
  type    = string
  default = "c7i.2xlarge"
}

variable "spot" {
  type    = bool
  default = true
}

variable "max_size" {
  type    = number
  default = 20
}

variable "min_size" {
  type    = number
  default = 1
}

locals {
  # A spot notice comes two minutes ahead.
  drain_seconds = var.spot ? 100 : 600
  hook          = "buildfleet-drain"
}

resource "aws_launch_template" "agent" {
  name_prefix            = "buildfleet-agent-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  vpc_security_group_ids = var.security_group_ids
  user_data = base64encode(templatefile("${path.module}/user-data.sh", {
    nats_url      = var.nats_url
    drain_seconds = local.drain_seconds
    hook          = local.hook
  }))

  iam_instance_profile {
    name = var.instance_profile
  }

  metadata_options {
    http_tokens            = "required"
    instance_metadata_tags = "enabled"
  }

  dynamic "instance_market_options" {
    for_each = var.spot ? [1] : []
    content {
      market_type = "spot"
    }
  }
}

resource "aws_autoscaling_group" "agents" {
  name_prefix         = "buildfleet-agents-"
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnet_ids
  capacity_rebalance  = var.spot

  launch_template {
    id      = aws_launch_template.agent.id
    version = "$Latest"
  }

  initial_lifecycle_hook {
    name                 = local.hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = local.drain_seconds + 60
    default_result       = "CONTINUE"
  }

  # Scaling policies decide on it.
  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

output "autoscaling_group" {
  description = "For policies on buildfleet_queue_core_seconds, which the coordinators serve."
  value       = aws_autoscaling_group.agents.name
}
