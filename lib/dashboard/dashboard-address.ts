import { Aws, CfnMapping, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/** The console's address in each AWS partition. */
const CONSOLES = {
  aws: { domain: 'console.aws.amazon.com' },
  'aws-cn': { domain: 'console.amazonaws.cn' },
  'aws-us-gov': { domain: 'console.amazonaws-us-gov.com' },
};

/** Name and URL of the dashboard of the scope's stack. Separate from the dashboard, because alarms link to it. */
export class DashboardAddress extends Construct {
  /** Contains the region, because all regions of an account share the names of dashboards. */
  readonly name = `${Stack.of(this).stackName}-${Aws.REGION}`;

  /** URL in the AWS console. */
  readonly url: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const console = new CfnMapping(this, 'Console', { mapping: CONSOLES }).findInMap(Aws.PARTITION, 'domain');
    this.url = `https://${Aws.REGION}.${console}/cloudwatch/home?region=${Aws.REGION}#dashboards/dashboard/${this.name}`;
  }
}
